"""What a training process sets up around the trainer: threads, seeds, a device, silence, and a loop to wait for a judge in.

TRL and transformers print and warn a great deal; what matters of it is in our metrics. Errors are never silenced.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from exprl.config import PolicyConfig

__all__ = ["Wait", "pick_device", "quiet", "seeded_threads", "waiting_room"]

T = TypeVar("T")


class Wait(Protocol):
    """Runs a coroutine to its end and gives its result."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


@contextmanager
def waiting_room(on_end: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Iterator[Wait]:
    """One event loop for a whole stage, in a thread of its own: it keeps a judge's connections from step to step, and
    works in a notebook, where a loop runs already. `on_end` is awaited last; what then still runs is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exprl-judge", daemon=True)
    thread.start()

    def wait(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        yield wait
    finally:
        try:
            if on_end is not None:
                wait(on_end())
            wait(_cancel_the_rest())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _cancel_the_rest() -> None:
    rest: list[Awaitable[object]] = []
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        rest.append(task)
    await asyncio.gather(*rest, return_exceptions=True)


def pick_device(policy: PolicyConfig) -> str:
    """The device that a policy runs on: `auto` is the first GPU where there is one."""
    import torch

    if policy.device != "auto":
        return policy.device
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def seeded_threads(threads: int, seed: int) -> Iterator[None]:
    """Run with `threads` CPU threads and every random generator seeded; the number of threads is put back after."""
    import torch
    from transformers import set_seed

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    set_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars, log lines and deprecation notices of the libraries below."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings(
                "ignore", category=UserWarning, module=r"(trl|transformers|accelerate|torch|peft)\."
            )
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
