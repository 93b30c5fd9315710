"""`exprl calibrate` and the card that a run can demand: end to end with a judge of known behaviour."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cyclopts import App

from exprl.cli.calibrate import calibrate_
from exprl.config import JudgeConfig, LLMJudgeConfig, RunConfig
from exprl.errors import ConfigError, DataError, JudgeError, UnscoredLimitError
from exprl.judge import Judge
from exprl.judge.calibrate import Calibration, calibrate, material, planned, read_card, run
from exprl.pipeline import card as pipeline_card
from exprl.pipeline.card import check_card
from exprl.runs import read_jsonl
from exprl.types import Submission, Usage, Verdict

CANARY = "CANARY-c0de"
TOML = """
name = "x"
[data]
train = { path = "train.jsonl" }
[judge]
type = "llm"
model = "m"
[evaluate]
bootstrap = 100
"""


class FakeJudge:
    """Knows: 1 for an answer that holds the reference's number, .25 otherwise; .5 without one. "mute" is unscored."""

    name = "llm:m"
    template_hash = "rules-1"
    log: list[str]

    def __init__(self, config: JudgeConfig, log: list[str]) -> None:
        self.shown = not isinstance(config, LLMJudgeConfig) or config.reference
        self.cached = isinstance(config, LLMJudgeConfig) and config.cache is not False
        self.log = log

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        if any("kill" in submission.text for submission in submissions):
            raise KeyboardInterrupt
        self.log += [f"{s.rollout_id}{'' if self.cached else '!'}" for s in submissions]
        return [tuple(self._verdict(s, s.text[:cut]) for cut in s.cuts) for s in submissions]

    def _verdict(self, submission: Submission, text: str) -> Verdict:
        if "mute" in text:
            return Verdict(None, unscored="no reply", usage=Usage(calls=1))
        solution, *_ = submission.problem.reference.reveal()
        if not self.shown:
            assert solution is None
            return Verdict(0.5, likert=3)
        assert solution is not None
        return Verdict(1.0 if solution.split()[-1] in text.split() else 0.25, raw=solution, usage=Usage(1, 10, 2, 4))

    async def aclose(self) -> None:
        pass


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def build(config: JudgeConfig, *, store: Path | None = None) -> Judge:
        return FakeJudge(config, asked)

    for module in (material, run, pipeline_card):
        monkeypatch.setattr(module, "build_judge", build)
    return asked


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(TOML, "utf-8")
    write("train.jsonl", [{"id": "t", "problem": "1+1?", "solution": CANARY, "answer": "2"}])
    write("data.jsonl", [answer(p, right) for p in range(6) for right in (True, False)])
    return tmp_path


def write(name: str, rows: Sequence[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def answer(problem: int, right: bool, text: str = "so it is") -> dict[str, object]:
    said = f"{text} {100 + problem if right else 0}"
    reference = f"{CANARY}\nA: {100 + problem}"
    row = {"id": f"{problem}{'r' if right else 'w'}", "problem": f"what is {problem}?"}
    return row | {"reference": reference, "candidate": said, "correct": right}


def command(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[str, str]:
    app = App(result_action="return_value")
    app.default(calibrate_)
    app(["config.toml", "--data", "data.jsonl", "--out", "out", *flags], exit_on_error=False, print_error=False)
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    return out, err


def config(**changes: object) -> RunConfig:
    values: dict[str, object] = {
        "name": "x",
        "data": {"train": {"path": "train.jsonl"}},
        "judge": {"type": "llm", "model": "m"},
        "evaluate": {"bootstrap": 100},
    }
    return RunConfig.model_validate(values | changes)


PLAN = Calibration(data=Path("data.jsonl"), out=Path("out"), repeat=4)


def test_a_judge_that_knows_gets_a_card_that_says_so(log: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out, err = command(capsys, "--repeat", "4")
    assert err == ""
    assert "the reference matters" in " ".join(out.split())
    assert "card: out/judge-card.json" in out
    card = read_card(Path("out/judge-card.json"))
    rates = {name: result.rates for name, result in card.conditions.items()}
    assert (rates["correct"].misplacement.value, rates["correct"].auroc.value) == (0.0, 1.0)
    assert (rates["none"].misplacement.value, rates["none"].auroc.value) == (0.5, 0.5)
    assert rates["wrong"].fnr.value == 1.0  # nobody has another problem's answer
    assert card.repeatability is not None
    assert (card.repeatability.pairs, card.repeatability.equal.value) == (4, 1.0)
    assert (card.judge, card.template_hash, card.domains) == ("llm:m", "rules-1", ("math",))
    assert (card.data.file, card.data.rows, card.data.used) == ("data.jsonl", 12, 12)
    assert "url" not in card.settings
    assert "In words" in Path("out/judge-card.html").read_text("utf-8")
    for name in ("judge-card.json", "judge-card.html"):
        assert CANARY not in Path("out", name).read_text("utf-8")
    assert CANARY in Path("out/verdicts.jsonl").read_text("utf-8")  # the evaluator's side


def test_the_second_asking_goes_past_the_cache(log: list[str]) -> None:
    calibrate(config(), PLAN)
    assert len(log) == 3 * 12 + 4
    assert [name.endswith("!") for name in log[36:]] == [True] * 4


def test_a_second_call_asks_for_nothing_and_says_the_same(log: list[str]) -> None:
    first = calibrate(config(), PLAN)
    log.clear()
    assert calibrate(config(), PLAN).model_dump_json() == first.model_dump_json()
    assert log == []
    # Another endpoint is the same judge; other settings are another one.
    calibrate(config(judge={"type": "llm", "model": "m", "url": "http://127.0.0.1:1/v1", "timeout": 3}), PLAN)
    assert log == []
    calibrate(config(judge={"type": "llm", "model": "m", "max_tokens": 7}), PLAN)
    assert len(log) == 40


def test_a_killed_call_goes_on_where_it_was(log: list[str]) -> None:
    few = replace(PLAN, limit=6, repeat=0)
    calibrate(config(), few)
    log.clear()
    cuts = {what: sum(len(s.cuts) for s in waiting) for what, waiting in planned(config(), PLAN).items()}
    assert cuts == {"correct": 6, "none": 6, "wrong": 6, "again": 4}
    torn = Path("out/verdicts.jsonl")
    torn.write_bytes(torn.read_bytes()[:-20])
    calibrate(config(), replace(PLAN, repeat=0))
    assert len(log) == 3 * 6 + 1
    assert len({row["asked"] for row in read_jsonl(torn)}) == 36


def test_a_row_of_many_cuts_that_a_kill_tore_is_asked_again(log: list[str]) -> None:
    write("steps.jsonl", [{"id": "s", "problem": "what is 1?", "steps": ["a", "101", "0"], "label": 2}])
    write("refs.jsonl", [{"id": "r", "problem": "What is 1 ?", "solution": f"{CANARY} 101"}])
    steps = replace(PLAN, process=(Path("steps.jsonl"),), references=(Path("refs.jsonl"),))
    card = calibrate(config(), steps)
    assert card.process is not None
    assert card.process.prefixes is not None
    assert card.process.prefixes.change_before.value == 0.75
    lines = Path("out/verdicts.jsonl").read_bytes().splitlines(keepends=True)
    Path("out/verdicts.jsonl").write_bytes(b"".join(lines[:-1]))
    log.clear()
    assert calibrate(config(), steps).model_dump_json() == card.model_dump_json()
    assert log == ["s"]


def test_a_keyboard_interrupt_keeps_what_was_judged(log: list[str]) -> None:
    write("data.jsonl", [answer(p, p % 2 == 0) for p in range(64)] + [answer(99, True, "kill")])
    with pytest.raises(KeyboardInterrupt):
        calibrate(config(), PLAN)
    assert len(read_jsonl("out/verdicts.jsonl")) == 64


def test_too_many_answers_without_a_score_stop_it_and_are_asked_again(log: list[str]) -> None:
    write("data.jsonl", [answer(p, p % 2 == 0, "mute" if p < 3 else "it is") for p in range(10)])
    with pytest.raises(
        UnscoredLimitError, match=r"3 of 10 answers \(correct\) could not be scored \(limit 20%\); most often"
    ):
        calibrate(config(), PLAN)
    assert len(read_jsonl("out/verdicts.jsonl")) == 7
    assert not Path("out/judge-card.json").exists()
    card = calibrate(config(unscored_limit=1.0), PLAN)
    rates = card.conditions["correct"].rates
    assert (rates.unscored, rates.unscored_rate.value) == (3, 0.3)
    assert rates.misplacement.value == 0.0
    assert card.conditions["correct"].reasons == {"no reply": 3}


def test_a_judge_that_needs_the_reference_shows_no_numbers_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "data.jsonl",
        [
            {
                "id": f"{i}{r}",
                "problem": f"{i}+4?",
                "reference": f"{i}+4={i + 4}\nA: {i + 4}",
                "candidate": text,
                "correct": r,
            }
            for i in range(3, 8)
            for text, r in ((f"{i}+4={i + 4}\nA: {i + 4}", True), (f"{i}+4=99\nA: 99", False))
        ],
    )
    out, _ = command(capsys, "--judge", '{type = "milestone"}', "--json")
    found = json.loads(out)["conditions"]
    assert found["correct"]["rates"]["misplacement"]["value"] == 0.0
    assert found["none"]["rates"]["misplacement"] == {"value": None, "low": None, "high": None}
    assert found["none"]["rates"]["unscored"] == 10
    out, _ = command(capsys, "--judge", '{type = "milestone"}')
    assert "n/a" in out


def test_a_plan_counts_and_spends_nothing(log: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = command(capsys, "--dry-run", "--json", "--repeat", "4", "--conditions", "correct,wrong")
    assert json.loads(out)["plan"]["total"]["judge_calls"] == 28
    assert log == []
    assert not Path("out").exists()


def test_wrong_input_is_said_before_anything_is_asked(log: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="unknown condition 'nothing'"):
        command(capsys, "--conditions", "nothing")
    with pytest.raises(DataError, match=r"no such file; did you mean data\.jsonl or"):
        calibrate(config(), replace(PLAN, data=Path("dta.jsonl")))
    assert log == []


# -- what a run demands


def demanded(**changes: object) -> RunConfig:
    return config(judge_card={"path": "out/judge-card.json", "max_misplacement": 0.5}, **changes)


def test_a_fitting_card_is_let_through(log: list[str]) -> None:
    calibrate(config(), PLAN)
    check_card(demanded())
    check_card(config())  # nothing demanded


def test_a_run_without_its_card_is_refused(log: list[str]) -> None:
    with pytest.raises(JudgeError, match=r"out/judge-card\.json.*make one with `exprl calibrate CONFIG --data FILE`"):
        check_card(demanded())


def test_each_fault_of_a_card_is_named_with_both_values(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate(config(), PLAN)
    strict = config(judge_card={"path": "out/judge-card.json", "max_misplacement": 0.001})
    with pytest.raises(
        JudgeError, match=r"may be as high as 0\.\d+, and judge_card.max_misplacement is 0.001\. Make one"
    ):
        check_card(strict)
    with pytest.raises(JudgeError, match="it covers math, and there are training problems in science"):
        check_card(demanded(data={"train": {"path": "train.jsonl", "domain": "science"}}))
    monkeypatch.setattr(FakeJudge, "name", "llm:other")
    monkeypatch.setattr(FakeJudge, "template_hash", "rules-2")
    with pytest.raises(JudgeError) as raised:
        check_card(demanded())
    assert "it is of the judge llm:m, and the run's is llm:other; its prompts or rules are rules-1" in str(raised.value)
    assert "`exprl calibrate CONFIG --data FILE --out out`" in str(raised.value)


def test_a_card_without_scores_lets_nobody_through(log: list[str]) -> None:
    write("data.jsonl", [answer(p, p % 2 == 0, "mute") for p in range(4)])
    calibrate(config(unscored_limit=1.0), PLAN)
    with pytest.raises(JudgeError, match="it holds no misplacement with the correct reference"):
        check_card(demanded())
