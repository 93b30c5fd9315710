"""A tracker shows the numbers of metrics.jsonl, is given nothing else, and cannot end a training."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exprl.config import RunConfig
from exprl.errors import ConfigError
from exprl.trackers import check_tracker, numbers, open_mirror

ROW: dict[str, object] = {
    "step": 3,
    "loss": 0.5,
    "kl": None,
    "reward": float("nan"),
    "text": "the reference says 42",
    "done": True,
    "monitor": {"length": [0.1, 200], "held_out_gap:strict": [0.2, 64]},
}
SHOWN = {"loss": 0.5, "monitor/length": 0.1, "monitor/held_out_gap:strict": 0.2}


class FakePackage(types.ModuleType):
    """What wandb and trackio have in common, remembered."""

    def __init__(self, name: str, fail: Callable[[str], bool] = lambda call: False) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, object]] = []
        self._fail = fail

    def _called(self, name: str, given: object) -> None:
        self.calls.append((name, given))
        if self._fail(name):
            raise ConnectionError("the server is gone: the reference says 42")

    def init(self, **given: object) -> None:
        self._called("init", given)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._called("log", (values, step))

    def finish(self) -> None:
        self._called("finish", None)

    def Settings(self, **given: object) -> dict[str, object]:
        return given


def install(monkeypatch: pytest.MonkeyPatch, package: FakePackage) -> None:
    monkeypatch.setitem(sys.modules, package.__name__, package)


def test_a_tracker_is_given_finite_numbers_and_no_text() -> None:
    assert numbers(ROW) == SHOWN


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_every_row_is_mirrored_at_its_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    package = FakePackage(name)
    install(monkeypatch, package)
    mirror = open_mirror(name, "demo", "sparse/seed-0/stage1", tmp_path)  # type: ignore[arg-type]
    mirror(ROW)
    mirror({**ROW, "step": 4})
    mirror.close()
    assert [call for call, _ in package.calls] == ["init", "log", "log", "finish"]
    assert package.calls[1:3] == [("log", (SHOWN, 3)), ("log", (SHOWN, 4))]
    opened = package.calls[0][1]
    assert isinstance(opened, dict)
    assert (opened["project"], opened["name"], opened["resume"]) == ("demo", "demo/sparse/seed-0/stage1", "allow")
    if name == "wandb":  # it must not send what a process prints, nor its code
        assert opened["settings"] == {"console": "off", "disable_code": True, "disable_git": True}


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_one_that_fails_warns_once_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str
) -> None:
    package = FakePackage("trackio", lambda name: name == call)
    install(monkeypatch, package)

    def three_steps() -> None:
        mirror = open_mirror("trackio", "demo", "sparse/seed-0/stage1", tmp_path)
        for step in range(3):
            mirror({**ROW, "step": step})
        mirror.close()

    with pytest.warns(RuntimeWarning, match=r"tracker trackio failed \(ConnectionError\)") as warned:
        three_steps()
    assert len(warned) == 1
    assert "42" not in str(warned[0].message)
    assert sum(name == call for name, _ in package.calls) == 1


def test_without_a_tracker_nothing_happens(tmp_path: Path) -> None:
    check_tracker(None)
    mirror = open_mirror(None, "demo", "sparse/seed-0/stage1", tmp_path)
    mirror(ROW)
    mirror.close()
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exprl.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'exprl\[wandb\]'"):
        check_tracker("wandb")


def test_the_key_is_one_of_three_or_false() -> None:
    table = {"name": "x", "data": {"train": {"path": "t"}}}
    assert RunConfig.model_validate(table).tracker is None
    assert RunConfig.model_validate({**table, "tracker": False}).tracker is None
    assert RunConfig.model_validate({**table, "tracker": "trackio"}).tracker == "trackio"
    with pytest.raises(ValueError, match="tensorboard"):
        RunConfig.model_validate({**table, "tracker": "mlflow"})


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_reads_back_what_was_mirrored(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-not-found]

    mirror = open_mirror("tensorboard", "demo", "sparse/seed-0/stage1", tmp_path)
    mirror(ROW)
    mirror.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
    assert set(found) == set(SHOWN)
    assert [event.step for event in found["loss"]] == [3]
