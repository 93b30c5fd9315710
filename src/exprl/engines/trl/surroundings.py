"""What a training process sets up around the trainer: threads, seeds, and silence.

TRL and transformers print and warn a great deal; what matters of it is in our metrics. Errors are never silenced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet", "seeded_threads"]


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
