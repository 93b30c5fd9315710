"""The page as a whole: what is in it, what can never be in it, and how it reads when parts of a run are missing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_run import SETS, Size, write_fake_run

from exprl.errors import EngineError, RunError
from exprl.report import write_report
from exprl.report.page import MAX_BYTES

SECTIONS = [
    "happened",
    "comparison",
    "headline",
    "coverage",
    "training",
    "diversity",
    "alarms",
    "unlocked",
    "reading",
    "evaluator",
    "costs",
    "configuration",
]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: tags in their section, text by section, numbers of the headline table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.sides: dict[str, str | None] = {}
        self.numbers: dict[tuple[str, str, str, int], tuple[str, str, str]] = {}
        self.open: list[str] = []
        self._section, self._set, self._row = "head", "", ("", "")
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = found["id"] or ""
            self.sides[self._section] = found.get("data-side")
        if tag == "table":
            self._set = found.get("data-set") or ""
        if tag == "tr" and "data-arm" in found:
            self._row = (found["data-arm"] or "", found["data-stage"] or "")
        if tag == "data":
            key = (self._set, *self._row, int(found["data-k"] or 0))
            self.numbers[key] = (found["value"] or "", found["data-low"] or "", found["data-high"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        self.text[self._section] = self.text.get(self._section, "") + data


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_run(tmp_path_factory.mktemp("runs") / "fake", judge="llm")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "fake"))


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return read(write_report(run))


def edit_first_row(path: Path, **values: object) -> None:
    lines = path.read_text("utf-8").splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | values)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def edit_rows(path: Path, **values: object) -> None:
    lines = [json.dumps(json.loads(line) | values) for line in path.read_text("utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def test_every_section_is_there_in_order_and_every_tag_is_closed(page: Page) -> None:
    assert list(page.sides) == SECTIONS
    assert page.open == []


def test_the_numbers_of_the_headline_are_those_of_the_summary(run: Path, page: Page) -> None:
    arms = json.loads((run / "summary.json").read_text())["arms"]
    for arm, stages in arms.items():
        for stage, sets in stages.items():
            title = "before training" if arm == "base" else {"stage1": "Stage I", "stage2": "Stage II"}[stage]
            for set_, coverage in sets.items():
                for k in (1, 8, 16):
                    want = coverage[f"pass@{k}"]
                    assert [float(n) for n in page.numbers[set_, arm, title, k]] == list(want.values())


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    names = {name for _, attrs in page.tags for name in attrs}
    assert not {name for name in names if name.startswith("on") or name in ("style", "src")}
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in page.tags)


def test_the_policy_allows_the_one_style_sheet_by_its_hash_and_nothing_else(run: Path) -> None:
    text = write_report(run).read_text("utf-8")
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    policy = next(a["content"] or "" for t, a in Page(text).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_a_hostile_rollout_problem_and_name_stay_text(copy: Path) -> None:
    hostile = "</script></pre><img src=x onerror=alert(1)>{{ 7*7 }}\u202e\ud800"
    edit_rows(copy / "problems.jsonl", text=hostile)
    for arm in ("sparse", "outcome", "process"):
        edit_rows(copy / f"arms/{arm}/seed-0/stage1/rollouts.jsonl", text=hostile, segments=[[0, len(hostile)]])
    edit_rows(copy / "arms/process/seed-0/stage1/verdicts.jsonl", raw=hostile, rollout_id='"><b onclick=x>')
    page = read(write_report(copy))
    assert "img" not in {tag for tag, _ in page.tags}
    assert not {name for _, attrs in page.tags for name in attrs if name.startswith("on")}
    assert "</pre><img src=x onerror=alert(1)>{{ 7*7 }}⟨U+202E⟩⟨U+D800⟩" in page.text["reading"]


def test_what_the_judge_wrote_stands_in_the_evaluators_section_only(copy: Path) -> None:
    canary = "CANARY-7f3a"
    for path in copy.glob("arms/*/seed-*/stage1/verdicts.jsonl"):
        edit_rows(path, raw=f"the reference says {canary}", unscored=f"no score in '{canary}'", prompt_hash=canary)
    edit_rows(copy / "filter.jsonl", why=f"answer {canary}", kept=False)
    page = read(write_report(copy))
    assert canary in page.text["evaluator"]
    assert [section for section, text in page.text.items() if canary in text] == ["evaluator"]
    assert not any(canary in (value or "") for _, attrs in page.tags for value in attrs.values())
    assert page.sides["evaluator"] == "evaluator"
    assert "judge replies may quote the reference" in page.text["evaluator"]


def test_a_judge_without_a_model_has_no_replies_to_show(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "fake")
    for path in run.glob("arms/*/seed-*/stage1/verdicts.jsonl"):
        edit_rows(path, raw="CANARY-7f3a")
    page = read(write_report(run))
    assert not any("CANARY-7f3a" in text for text in page.text.values())
    assert "program without a language model (milestone)" in page.text["evaluator"]


def test_unscored_is_said_and_never_shown_as_a_number(copy: Path) -> None:
    for path in copy.glob("arms/process/seed-0/stage1/rollouts.jsonl"):
        edit_first_row(path, scores=[None], advantages=[None], truncated=False)
    summary = json.loads((copy / "summary.json").read_text())
    summary["arms"]["process"]["stage1"]["hard_held_out"]["pass@1"] = {"value": None, "low": None, "high": None}
    (copy / "summary.json").write_text(json.dumps(summary))
    page = read(write_report(copy))
    assert ("hard_held_out", "process", "Stage I", 1) not in page.numbers
    assert "unscored" in page.text["headline"]
    assert "without a score (unscored or truncated) are not ranked" in page.text["reading"]


def test_a_run_that_was_not_evaluated_says_so_and_shows_its_training(copy: Path) -> None:
    (copy / "summary.json").unlink()
    shutil.rmtree(copy / "base")
    for folder in copy.glob("arms/*/seed-*/stage*/eval"):
        shutil.rmtree(folder)
    page = read(write_report(copy))
    assert "There is no summary.json yet" in page.text["happened"]
    assert "There are no samples of the base policy." in page.text["happened"]
    assert "sparse: Stage I was not evaluated (seed 0)." in page.text["happened"]
    assert "No pass@k was computed in this run." in page.text["headline"]
    assert "Token entropy" in page.text["training"]


def test_an_arm_that_stopped_half_way_is_named_with_its_step(copy: Path) -> None:
    shutil.rmtree(copy / "arms/process/seed-1/stage2")
    stage = copy / "arms/process/seed-1/stage1"
    lines = (stage / "metrics.jsonl").read_text().splitlines(keepends=True)
    (stage / "metrics.jsonl").write_text("".join(lines[:5]) + lines[5][:20])
    page = read(write_report(copy))
    assert "process: Stage I stands at step 5 of 12 (seed 1)." in page.text["happened"]
    assert "process: Stage II has not run (seed 1)." in page.text["happened"]


def test_a_run_without_stage_two_is_whole(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text()) | {"stage2": None}
    (copy / "config.json").write_text(json.dumps(config))
    summary = json.loads((copy / "summary.json").read_text())
    for stages in summary["arms"].values():
        stages.pop("stage2", None)
    (copy / "summary.json").write_text(json.dumps(summary))
    for folder in copy.glob("arms/*/seed-*/stage2"):
        shutil.rmtree(folder)
    page = read(write_report(copy))
    assert "Stage II was switched off in the configuration." in page.text["happened"]
    assert "has not run" not in page.text["happened"] + page.text["headline"]
    assert "after Stage II" not in page.text["happened"]


def test_a_run_with_metrics_alone_still_makes_a_page(copy: Path) -> None:
    for path in [*copy.glob("arms/*/seed-*/stage*/rollouts.jsonl"), *copy.glob("*.jsonl"), copy / "environment.json"]:
        path.unlink()
    for name in ("base", "summary.json"):
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = read(write_report(copy))
    assert "it cannot be said which problems were unlocked" in page.text["unlocked"]
    assert "No training rollouts to read" in page.text["reading"]


def test_a_new_run_with_a_configuration_alone_makes_a_page(copy: Path) -> None:
    for path in copy.iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = read(write_report(copy))
    assert "Nothing has been evaluated yet" in page.text["happened"]
    assert "process: Stage I has not run." in page.text["happened"]
    assert list(page.sides) == SECTIONS


def test_the_cost_table_adds_up_what_was_recorded(run: Path, page: Page) -> None:
    rows = re.sub(r"\s+", " ", page.text["costs"])
    size = Size()
    trained = len(size.seeds) * size.prompts_per_step * size.group * size.steps[0]
    calls = 2 * trained * 5
    sampled = (1 + 3 * 2 * len(size.seeds)) * len(SETS) * size.problems * size.samples
    tried = (size.problems + 2) * size.samples
    both_stages = 3 * len(size.seeds) * size.prompts_per_step * size.group * sum(size.steps)
    assert f"sparse, Stage I 24 {trained:,}" in rows
    assert f"{sampled + tried + both_stages:,}" in rows
    assert f"{calls:,}" in rows


def test_the_configuration_is_shown_without_passwords_and_says_how_to_run_it_again(page: Page) -> None:
    assert "exprl run runs/fake/config.json --name fake-again" in page.text["configuration"]
    assert "secret" not in page.text["configuration"]
    assert "http://127.0.0.1:8000/v1" in page.text["configuration"]
    assert "2.13.0" in page.text["configuration"]


def test_a_large_run_stays_under_three_megabytes(tmp_path: Path) -> None:
    size = Size(problems=300, samples=1, steps=(500, 2), prompts_per_step=1, group=2)
    run = write_fake_run(tmp_path / "large", size, judge="llm")
    for path in run.glob("arms/*/seed-0/stage*/rollouts.jsonl"):
        edit_rows(path, text="<&>" * 4000, segments=[[i * 120, i * 120 + 120] for i in range(100)])
    edit_rows(run / "problems.jsonl", text="&" * 20_000)
    path = write_report(run)
    assert path.stat().st_size < MAX_BYTES
    assert "characters left out" in path.read_text("utf-8")


def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.json; give the folder that `exprl run` made"):
        write_report(tmp_path)


def test_a_damaged_file_is_named_with_its_place_and_without_its_content(copy: Path) -> None:
    path = copy / "arms/process/seed-0/stage1/verdicts.jsonl"
    path.write_text(path.read_text() + '{"raw": "CANARY-7f3a\n{}\n')
    with pytest.raises(RunError, match=r"verdicts\.jsonl, line \d+: not JSON") as caught:
        write_report(copy)
    assert "CANARY-7f3a" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_damaged_summary_is_named_with_line_and_column(copy: Path) -> None:
    (copy / "summary.json").write_text('{"arms":\n  oops}')
    with pytest.raises(RunError, match=r"summary\.json, line 2, column 3"):
        write_report(copy)


def test_without_jinja2_the_error_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EngineError, match=r"pip install 'exprl\[eval\]'"):
        write_report(run)
