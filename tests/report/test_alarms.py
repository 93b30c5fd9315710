"""The section on alarms: what was warned of, what was watched, and never a word for what was not looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_run import Size, write_fake_run
from test_report_page import read

from exprl.errors import RunError
from exprl.report import write_report
from exprl.report.alarms import AlarmRow, alarms
from exprl.report.read import read_run

STAGE = "arms/process/seed-0/stage1"
WORDS = "answers that were verified wrong get a high score from the judge"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "fake", Size(seeds=(0,)))


def row(
    step: int, value: float, name: str = "high_but_wrong", level: str = "warn", **more: object
) -> dict[str, object]:
    return {"step": step, "name": name, "level": level, "value": value, "threshold": 0.5, "words": WORDS, **more}


def write_alarms(run: Path, *rows: dict[str, object], stage: str = STAGE) -> None:
    (run / stage / "alarms.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def watch_all(run: Path, **measures: list[float]) -> None:
    for path in run.glob("arms/*/seed-*/stage*/metrics.jsonl"):
        rows = [json.loads(line) | {"monitor": measures} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def section(run: Path) -> str:
    return " ".join(read(write_report(run)).text["alarms"].split())


def test_an_alarm_stands_with_its_steps_furthest_value_and_threshold(run: Path) -> None:
    write_alarms(run, row(4, 0.51), row(5, 0.625), row(9, 0.52), row(10, 0.95, level="stop", threshold=0.9))
    warned, stopped = alarms(read_run(run)).rows
    assert warned == AlarmRow(
        arm="process",
        stage="Stage I",
        seed=0,
        name="high_but_wrong",
        level="warned",
        steps="4 to 9 (3 of them)",
        value="0.625",
        threshold="0.5",
        words=WORDS,
    )
    assert (stopped.level, stopped.steps, stopped.value, stopped.threshold) == ("stopped", "10", "0.95", "0.9")
    text = section(run)
    assert f"process Stage I high_but_wrong warned 4 to 9 (3 of them) 0.625 0.5 {WORDS}" in text
    assert "No alarm" not in text


def test_the_furthest_of_what_warns_below_is_the_lowest(run: Path) -> None:
    write_alarms(run, *(row(step, value, "held_out_rank:other") for step, value in [(1, 0.1), (2, -0.2), (3, 0.0)]))
    (shown,) = alarms(read_run(run)).rows
    assert (shown.name, shown.value, shown.steps) == ("held_out_rank:other", "-0.2", "1 to 3")


def test_no_alarm_says_what_was_watched_and_where_it_stands(run: Path) -> None:
    watch_all(run, truncated=[0.1, 64], high_but_wrong=[0.25, 32])
    text = section(run)
    assert "No alarm. Watched: sparse, Stage I; sparse, Stage II; outcome, Stage I;" in text
    # 12 steps; the last 10 of them are pooled.
    assert "process Stage I truncated 0.1 0.3 – 640" in text
    assert "process Stage I high_but_wrong 0.25 0.5 0.95 320" in text
    assert "Not watched" not in text


def test_thresholds_shown_are_those_of_the_run(run: Path) -> None:
    watch_all(run, truncated=[0.1, 64])
    config = json.loads((run / "config.json").read_text())
    config["monitor"] = config["monitor"] | {"truncated": {"warn": 0.2, "stop": 0.7}, "window": 5}
    (run / "config.json").write_text(json.dumps(config))
    assert "process Stage I truncated 0.1 0.2 0.7 320" in section(run)
    config["monitor"]["window"] = "soon"
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config\.json: monitor\.window cannot be read"):
        write_report(run)


def test_too_few_rollouts_are_said_to_be_too_few(run: Path) -> None:
    watch_all(run, truncated=[0.1, 8])
    text = section(run)
    assert "No alarm." in text
    assert "too few rollouts yet" in text


def test_a_run_of_an_earlier_version_is_not_called_quiet(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    del config["monitor"]
    (run / "config.json").write_text(json.dumps(config))
    text = section(run)
    assert "No alarm" not in text
    assert "Not watched: sparse, Stage I; sparse, Stage II; outcome, Stage I" in text


def test_seeds_are_told_apart_where_there_are_several(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    write_alarms(run, row(2, 0.75), stage="arms/process/seed-1/stage1")
    assert "process Stage I, seed 1 high_but_wrong warned 2" in section(run)


def test_a_hostile_or_torn_alarm_stays_text(run: Path) -> None:
    write_alarms(run, row(1, 0.75, words="</td><script>x</script>\u202e"))
    with (run / STAGE / "alarms.jsonl").open("a") as file:
        file.write('{"step": 2, "na')
    page = read(write_report(run))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "</td><script>x</script>⟨U+202E⟩" in page.text["alarms"]
