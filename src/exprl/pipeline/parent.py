"""A worker ends soon after the run that started it is gone, whatever ended that.

It watches for the process id that its parent *told* it: asked at the worker's start, the system may already name another
parent (on Linux, 1), for a run can be killed while its workers are still starting. Nothing heavy is imported here, so that
the watch stands before a worker spends its first minute importing a trainer.
"""

from __future__ import annotations

import os
import threading
import time

__all__ = ["watch_parent"]

_EVERY = 0.5


def watch_parent(parent: int) -> None:
    """End this process at most half a second after `parent` has ended; returns at once."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
