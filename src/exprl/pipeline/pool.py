"""Run jobs in worker processes, as many at once as `parallel` says, each when what it waits for is done.

Workers are spawned, so a job starts from a clean interpreter and the parent never holds a model. A worker that dies ends
the run with an error that says how to resume; nothing it had finished is lost. An error in one job lets the jobs that are
running finish, then is raised. An interrupt (Ctrl-C) ends the workers at once: what they had not finished is resumed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from exprl.errors import RunError
from exprl.pipeline.jobs import Job, run_job
from exprl.pipeline.parent import watch_parent

__all__ = ["run_jobs"]


def run_jobs(
    chains: Iterable[list[Job]],
    parallel: int,
    *,
    on_start: Callable[[Job], None],
    on_tick: Callable[[], None],
    on_done: Callable[[Job], None],
) -> None:
    """Run chains of jobs: within a chain one after the other, between chains side by side.

    Longer chains' next jobs wait in line behind others' first ones, so workers stay busy to the end.

    Raises:
        RunError: a worker was killed (out of memory, say).
    """
    waiting = [list(chain) for chain in chains if chain]
    total = sum(len(chain) for chain in waiting)
    if not total:
        return
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(
            min(parallel, total), mp_context=context, initializer=watch_parent, initargs=(os.getpid(),)
        ) as pool,
        _ended_by_interrupt(),
    ):
        running: dict[Future[Job], list[Job]] = {}
        failed: BaseException | None = None
        while waiting or running:
            while waiting and len(running) < parallel and failed is None:
                chain = waiting.pop(0)
                on_start(chain[0])
                running[pool.submit(run_job, chain[0])] = chain
            if not running:
                break
            finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            on_tick()
            for future in finished:
                chain = running.pop(future)
                error = future.exception()
                if error is not None:
                    failed = failed or error
                    continue
                on_done(chain[0])
                if chain[1:]:
                    waiting.append(chain[1:])
    if isinstance(failed, BrokenProcessPool):
        raise RunError(
            "a worker process was killed (out of memory, perhaps); finished work is kept: run again with --resume"
        ) from failed
    if failed is not None:
        raise failed


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """End the processes started inside the block on an interrupt; leaving the pool would wait for their jobs."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except KeyboardInterrupt:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
