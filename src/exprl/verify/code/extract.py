r"""The candidate program in a trace: the last fenced block that holds code, else the trace itself where it is bare code.

A block opens with three or more backticks or tildes and an optional word; `python`, `py`, `python3` and no word at all are
code, any other word (`text`, `output`, `bash`) is not. The last complete block counts, as the last box does in mathematics.
A block that is never closed counts only where no complete one stands: a trace cut short may still hold its whole program.

    >>> extract_program("Idea.\n```python\ndef f(x):\n    return x\n```\nDone.")
    'def f(x):\n    return x\n'

Refuses to parse the program: that happens in the jail, as does everything else with it.
"""

from __future__ import annotations

import re

__all__ = ["extract_program"]

_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*$", re.M)
_CODE = {"", "python", "py", "python3", "py3"}
_START = re.compile(
    r"^(?:def |class |import |from \w[\w.]* import |async def |@|for |while |print\(|if |[A-Za-z_][\w, ]* = |[ \t]+\S)",
    re.M,
)


def extract_program(trace: str) -> str | None:
    """The program that a trace states, or None where it states none. Linear in the length of the trace."""
    closed, open_ = _blocks(trace.replace("\r\n", "\n"))
    if closed:
        return closed
    if open_ is not None:
        return open_ if open_.strip() else None
    return trace if _is_bare_code(trace) else None


def _blocks(trace: str) -> tuple[str | None, str | None]:
    """(the last complete block of code that is not empty, the block left open at the end)."""
    last: str | None = None
    opened: tuple[str, str, int] | None = None
    for fence in _FENCE.finditer(trace):
        marks, word = fence[1], fence[2].lower().strip("{}.")
        if opened is None:
            opened = (marks, word, fence.end() + 1)
        elif marks.startswith(opened[0]) and not word:
            block = trace[opened[2] : fence.start()]
            last = block if opened[1] in _CODE and block.strip() else last
            opened = None
        elif word in _CODE:
            opened = (marks, word, fence.end() + 1)  # the block before it was never closed
    left = trace[opened[2] :] if opened is not None and opened[1] in _CODE else None
    return last, left


def _is_bare_code(trace: str) -> bool:
    """Whether the first line that is neither blank nor a comment begins as code does."""
    for line in trace.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return _START.match(line) is not None
    return False
