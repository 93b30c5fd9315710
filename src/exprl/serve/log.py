"""What the server logs: routes, codes and kinds of errors. Never a body, a token, a query or an address's words.

One logger, `exprl.serve`. aiohttp's own messages hold what a client sent, as far as it could not be read; they come through
`http_logger`, which lets only the kind of error pass.
"""

from __future__ import annotations

import logging
import traceback

__all__ = ["http_logger", "logger", "note_answer", "note_error"]

logger = logging.getLogger("exprl.serve")
_METHODS = {"GET", "HEAD", "POST", "DELETE"}


def note_answer(method: str, route: str, status: int, seconds: float, role: str | None) -> None:
    """One answered request."""
    shown = method if method in _METHODS else "-"
    logger.info("%s %s %d %.1f ms %s", shown, route, status, 1000 * seconds, role or "-")


def note_error(error: BaseException, *, words: bool = False) -> None:
    """An error, by its kind and the last line of ours that it came through.

    Args:
        words: log its message as well: one of exprl's own.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "exprl" in frame.filename]
    place = f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "outside exprl"
    logger.error("%s in %s%s", type(error).__name__, place, f": {error}" if words else "")


class _OnlyTheKind(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
        record.msg, record.args = f"a request that cannot be read ({kind.__name__ if kind else 'unknown'})", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.INFO, "INFO"
        return logger.isEnabledFor(logging.INFO)


http_logger = logging.getLogger("exprl.serve.http")
http_logger.addFilter(_OnlyTheKind())
