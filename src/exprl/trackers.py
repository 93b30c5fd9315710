"""Trackers: the rows of metrics.jsonl, mirrored to trackio, wandb or tensorboard (`tracker = "..."`; default: none).

metrics.jsonl is always written and is the record; a tracker only shows it. What a tracker gets of a row are its finite
numbers and nothing else, so no text can reach it: no rollout, no verdict, no reference. wandb is told to capture neither
console nor code. One tracker run a stage, called <run>/<arm>/seed-<s>/<stage>; tensorboard's files lie in the stage's
folder. A resumed stage makes again the steps after its checkpoint, and says them again.

What it refuses, before anything is spent: a tracker whose package is not installed. One that fails later (a server that is
gone) warns once and is left alone: training goes on.

    >>> numbers({"step": 3, "loss": 0.5, "kl": None, "monitor": {"length": [0.1, 200]}})
    {'loss': 0.5, 'monitor/length': 0.1}
"""

from __future__ import annotations

import hashlib
import importlib
import math
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from exprl.config import Tracker
from exprl.errors import ConfigError

__all__ = ["Mirror", "check_tracker", "numbers", "open_mirror"]


class _Sink(Protocol):
    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


def check_tracker(name: Tracker | None) -> None:
    """Refuse a tracker that is not installed.

    Raises:
        ConfigError: says what to install.
    """
    if name is not None and find_spec(name) is None:
        raise ConfigError(
            f"tracker = {name!r}: the package is not installed; pip install 'exprl[{name}]', or leave it out"
        )


def numbers(row: Mapping[str, object]) -> dict[str, float]:
    """The finite numbers of a row of metrics, the monitor's among them; the step is no number of its own."""
    flat = {key: value for key, value in row.items() if key not in ("step", "monitor")}
    monitor = row.get("monitor")
    if isinstance(monitor, Mapping):  # name -> [value, count]
        flat |= {f"monitor/{name}": pair[0] for name, pair in monitor.items() if isinstance(pair, list) and pair}
    return {
        key: float(value)
        for key, value in flat.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


class Mirror:
    """Shows rows to one tracker. The first failure is a warning, and the last thing that it is asked."""

    def __init__(self, name: Tracker | None, open_sink: Callable[[], _Sink]) -> None:
        self._name = name
        self._sink: _Sink | None = None
        if name is not None:
            self._guarded(lambda: setattr(self, "_sink", open_sink()))

    def __call__(self, row: Mapping[str, object]) -> None:
        """Mirror one row."""
        if (sink := self._sink) is not None:
            self._guarded(lambda: sink.log(numbers(row), int(str(row["step"]))))

    def close(self) -> None:
        """Let the tracker finish; called once."""
        if (sink := self._sink) is not None:
            self._guarded(sink.close)
            self._sink = None

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # whatever a tracker raises, it must not end a training that it only watches
            self._sink = None
            warnings.warn(
                f"tracker {self._name} failed ({type(error).__name__}) and is left out from here; metrics.jsonl goes on",
                RuntimeWarning,
                stacklevel=2,
            )


def open_mirror(name: Tracker | None, run: str, stage: str, folder: Path) -> Mirror:
    """The mirror of one stage; without a tracker it does nothing.

    Args:
        run: name of the run, the tracker's project.
        stage: <arm>/seed-<s>/<stage>.
        folder: the stage's folder.
    """
    if name == "tensorboard":
        return Mirror(name, lambda: _TensorBoard(folder / "tensorboard"))
    return Mirror(name, lambda: _Hosted(str(name), run, f"{run}/{stage}", folder))


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        self._writer: Any = importlib.import_module("tensorboard.summary").Writer(str(folder))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Hosted:
    """wandb, or trackio, which has its calls."""

    def __init__(self, package: str, project: str, name: str, folder: Path) -> None:
        module: Any = importlib.import_module(package)
        if package == "wandb":
            own = {
                "id": hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
                "dir": str(folder),
                "settings": module.Settings(console="off", disable_code=True, disable_git=True),
            }
        else:
            own = {}
        module.init(project=project, name=name, resume="allow", **own)
        self._module = module

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()
