"""`exprl judge`: verdicts on a file of samples, resumable, and never a file full of verdicts that are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exprl.config import RunConfig
from exprl.errors import ConfigError, DataError, UnscoredLimitError
from exprl.pipeline import judging
from exprl.pipeline.judging import Judged, judge_samples, waiting_submissions
from exprl.runs import append_jsonl, read_jsonl
from exprl.types import Scope, Submission, Usage, Verdict

ROW = '{"id": "%s", "problem": "37+25, then times 3?", "solution": "37+25=62 ###\\n62*3=186", "answer": "186"}\n'
GOOD = "37+25=62 ###\n62*3=186 ###\n\\boxed{186}"


class FakeJudge:
    """Scores one half a cut; a trace that holds "mute" gets no score, and one that holds "kill" ends the process."""

    name = "fake"
    template_hash = "fake-1"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        if any("kill" in submission.text for submission in submissions):
            raise KeyboardInterrupt
        self.asked += [submission.rollout_id for submission in submissions]
        return [tuple(self._verdict(s.text[:cut]) for cut in s.cuts) for s in submissions]

    def _verdict(self, text: str) -> Verdict:
        if "mute" in text:
            return Verdict(None, unscored="no reply", usage=Usage(calls=2))
        return Verdict(0.5, likert=3, judge=self.name, usage=Usage(1, 10, 2, 4))

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> FakeJudge:
    fake = FakeJudge()
    monkeypatch.setattr(judging, "build_judge", lambda config, **_: fake)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    (tmp_path / "p.jsonl").write_text(ROW % "p" + ROW % "q", "utf-8")
    return RunConfig.model_validate({"name": "x", "data": {"train": {"path": str(tmp_path / "p.jsonl")}}})


def written(folder: Path, *texts: str, problem: str = "p") -> Path:
    path = folder / "samples.jsonl"
    path.unlink(missing_ok=True)
    append_jsonl(path, [{"id": f"r{i}", "question_id": problem, "text": text} for i, text in enumerate(texts)])
    return path


def judged(config: RunConfig, samples: Path, *, scope: Scope = "prefix", set_name: str = "hard_train") -> Judged:
    return judge_samples(config, samples, samples.with_name("verdicts.jsonl"), scope=scope, set_name=set_name)


def test_another_scope_is_judged_into_the_same_file_and_counted_by_itself(
    config: RunConfig, judge: FakeJudge, tmp_path: Path
) -> None:
    samples = written(tmp_path, GOOD)
    assert judged(config, samples, scope="prefix").verdicts == 3
    assert judged(config, samples, scope="outcome").verdicts == 1
    assert judged(config, samples, scope="outcome").verdicts == 1
    assert judge.asked == ["r0", "r0"]


def test_every_cut_of_every_sample_gets_a_row(config: RunConfig, tmp_path: Path) -> None:
    result = judged(config, written(tmp_path, GOOD, "", "no idea"))
    rows = read_jsonl(tmp_path / "verdicts.jsonl")
    assert [(row["rollout_id"], row["cut"], row["likert"]) for row in rows] == [
        *[("r0", 12, 2), ("r0", 25, 3), ("r0", len(GOOD), 5)],
        *[("r1", 0, 1), ("r2", 7, 1)],
    ]
    assert {"score", "unscored", "raw", "judge", "prompt_hash", "usage"} <= set(rows[0])
    # final scores 1, 0, 0
    assert result == Judged(traces=3, verdicts=5, unscored=0, mean=pytest.approx(1 / 3), usage=Usage())


def test_the_whole_trace_is_one_cut_where_the_scope_is_outcome(config: RunConfig, tmp_path: Path) -> None:
    assert judged(config, written(tmp_path, GOOD), scope="outcome").verdicts == 1


def test_the_numbers_count_calls_tokens_and_what_has_no_score(
    config: RunConfig, tmp_path: Path, judge: FakeJudge
) -> None:
    samples = written(tmp_path, "a ### b", *["c"] * 8, "d ### mute")
    result = judged(config, samples)
    # 9 traces with 10 scored cuts; the last trace has one scored cut and one without
    assert result == Judged(10, 12, 1, 0.5, Usage(11 + 2, 110, 22, 44))
    assert str(result) == (
        "10 traces, 12 verdicts (1 unscored), mean final score 0.500; 13 calls, 110 tokens in (44 cached), 22 out"
    )
    assert result.as_dict()["usage"] == {
        "calls": 13,
        "prompt_tokens": 110,
        "completion_tokens": 22,
        "cached_tokens": 44,
    }
    assert judge.closed == 1


def test_judging_that_was_killed_goes_on_where_its_file_ends(
    config: RunConfig, tmp_path: Path, judge: FakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        judged(config, written(tmp_path, "a", "b", "kill", "d"))
    assert judge.closed == 1
    assert judge.asked == ["r0", "r1"]
    result = judged(config, written(tmp_path, "a", "b", "c", "d"))
    assert judge.asked == ["r0", "r1", "r2", "r3"]
    assert (result.traces, result.verdicts) == (4, 4)
    judged(config, written(tmp_path, "a", "b", "c", "d"))
    assert judge.asked == ["r0", "r1", "r2", "r3"]


def test_a_rollout_that_a_kill_tore_is_judged_again_and_counted_once(
    config: RunConfig, tmp_path: Path, judge: FakeJudge
) -> None:
    samples = written(tmp_path, "a ### b ### c", "d")
    whole = judged(config, samples)
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]) + b'{"rollout_')
    assert judged(config, samples) == whole
    assert judge.asked == ["r0", "r1", "r0", "r1"]


def test_too_many_without_a_score_stop_it_and_are_judged_again(
    config: RunConfig, tmp_path: Path, judge: FakeJudge
) -> None:
    with pytest.raises(
        UnscoredLimitError, match=r"2 of 4 traces could not be scored \(limit 20%\).*no reply.*same command"
    ):
        judged(config, written(tmp_path, "a", "mute", "c", "mute"))
    assert [row["rollout_id"] for row in read_jsonl(tmp_path / "verdicts.jsonl")] == ["r0", "r2"]
    assert judge.closed == 1
    assert judged(config, written(tmp_path, "a", "b", "c", "d")).unscored == 0
    assert judge.asked == ["r0", "r1", "r2", "r3", "r1", "r3"]


def test_a_limit_of_1_keeps_what_has_no_score_and_says_so(config: RunConfig, tmp_path: Path, judge: FakeJudge) -> None:
    result = judged(config.model_copy(update={"unscored_limit": 1.0}), written(tmp_path, "mute", "mute"))
    assert (result.unscored, result.mean) == (2, None)
    assert "no score" in str(result)


def test_what_is_waiting_can_be_counted_without_judging(config: RunConfig, tmp_path: Path, judge: FakeJudge) -> None:
    samples, out = written(tmp_path, "a ### b", "c"), tmp_path / "verdicts.jsonl"
    waiting = waiting_submissions(config, samples, out, scope="prefix", set_name="hard_train")
    assert [submission.cuts for submission in waiting] == [(5, 7), (1,)]
    assert judge.asked == []
    assert not out.exists()


def test_a_file_that_is_no_file_of_samples_is_refused_with_the_line(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl: no such file; `exprl sample` writes one"):
        judged(config, tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match=r"line 1: question_id 'z' is not in the set; name it with --set"):
        judged(config, written(tmp_path, "a", problem="z"))
    samples = written(tmp_path, "a")
    append_jsonl(samples, [{"id": "r1", "text": "x"}])
    with pytest.raises(DataError, match="line 2: id, question_id or text is missing"):
        judged(config, samples)
    assert not (tmp_path / "verdicts.jsonl").exists()


def test_a_set_that_is_not_there_is_refused_with_the_names_of_those_that_are(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no set 'held'; there are hard_train"):
        judged(config, written(tmp_path, "a"), set_name="held")


def test_segments_by_tokens_are_refused_since_a_file_has_no_token_ids(config: RunConfig, tmp_path: Path) -> None:
    segments = config.segments.model_copy(update={"rule": "tokens"})
    with pytest.raises(ConfigError, match="needs token ids"):
        judged(config.model_copy(update={"segments": segments}), written(tmp_path, "a"))
