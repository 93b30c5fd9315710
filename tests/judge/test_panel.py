"""A panel: the weighted mean of those who gave a score, and watchers who change nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import PanelJudgeConfig
from exprl.errors import JudgeError
from exprl.judge.panel import Member, PanelJudge
from exprl.types import Problem, Reference, Submission, Usage, Verdict

PROBLEM = Problem("p", "1 + 1?", Reference("SECRET", "2"))


def submission(cuts: int = 1, name: str = "r") -> Submission:
    text = "x" * cuts
    return Submission(PROBLEM, name, text, tuple(range(1, cuts + 1)), "prefix")


@dataclass
class Scripted:
    """Says the same of every cut: a score, or why there is none."""

    says: float | str
    name: str = "scripted"
    template_hash: str = "t"
    likert: int | None = None
    note: str = ""
    closed: int = 0

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [tuple(self.word(s, cut) for cut in range(len(s.cuts))) for s in submissions]

    def word(self, asked: Submission, cut: int) -> Verdict:
        usage = Usage(calls=1, prompt_tokens=10, completion_tokens=2, cached_tokens=5)
        score = None if isinstance(self.says, str) else self.says
        return Verdict(
            score,
            unscored=self.says if isinstance(self.says, str) else None,
            likert=self.likert if score is not None else None,
            raw=f"{self.name} on {asked.rollout_id}:{cut}",
            judge=self.name,
            prompt_hash=f"hash of {self.name}",
            usage=usage,
            note=self.note,
        )

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Broken(Scripted):
    """Raises whatever it is asked."""

    error: BaseException = field(default_factory=lambda: ValueError("boom"))

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        raise self.error

    async def aclose(self) -> None:
        await super().aclose()
        raise self.error


def panel(**members: tuple[float, Scripted]) -> PanelJudge:
    return PanelJudge([Member(name, weight, judge) for name, (weight, judge) in members.items()])


async def one(judge: PanelJudge) -> Verdict:
    ((verdict,),) = await judge.score([submission()])
    return verdict


async def test_the_score_is_the_weighted_mean_of_the_voters() -> None:
    verdict = await one(panel(big=(3, Scripted(1.0, likert=5)), small=(1, Scripted(0.5, likert=3))))
    assert (verdict.score, verdict.unscored, verdict.likert, verdict.note) == (0.875, None, None, "")
    assert verdict.panel == ()


async def test_a_voter_without_a_score_is_left_out_and_named() -> None:
    verdict = await one(
        panel(big=(3, Scripted("timeout")), small=(1, Scripted(0.5, likert=3)), other=(1, Scripted(1.0)))
    )
    assert (verdict.score, verdict.note) == (0.75, "without big")


async def test_a_lone_opinion_keeps_its_grade() -> None:
    verdict = await one(panel(big=(3, Scripted("timeout")), small=(1, Scripted(0.5, likert=3))))
    assert (verdict.score, verdict.likert) == (0.5, 3)


async def test_without_any_score_the_verdict_says_why_for_every_voter_and_is_never_zero() -> None:
    watched = panel(
        big=(3, Scripted("timeout")), small=(1, Scripted("no score in the reply")), watch=(0, Scripted(1.0))
    )
    verdict = await one(watched)
    assert (verdict.score, verdict.unscored) == (None, "big: timeout; small: no score in the reply")
    assert verdict.panel == (("watch", 1.0),)


@pytest.mark.parametrize("watcher", [Scripted(0.0), Scripted(1.0), Scripted("down"), Broken(0.0)])
async def test_a_judge_of_weight_zero_changes_neither_the_score_nor_whether_there_is_one(watcher: Scripted) -> None:
    alone = await one(panel(big=(1, Scripted(0.75, likert=4))))
    verdict = await one(panel(big=(1, Scripted(0.75, likert=4)), watch=(0, watcher)))
    seen = (verdict.score, verdict.likert, verdict.unscored, verdict.note, verdict.judge, verdict.prompt_hash)
    assert seen == (alone.score, alone.likert, alone.unscored, alone.note, alone.judge, alone.prompt_hash)
    said = watcher.says if isinstance(watcher.says, float) and not isinstance(watcher, Broken) else None
    assert verdict.panel == (("watch", said),)


async def test_a_voter_that_breaks_its_promise_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="boom"):
        await one(panel(big=(1, Scripted(0.5)), small=(1, Broken(0.0))))


async def test_a_watcher_that_is_cancelled_cancels() -> None:
    with pytest.raises(asyncio.CancelledError):
        await one(panel(big=(1, Scripted(0.5)), watch=(0, Broken(0.0, error=asyncio.CancelledError()))))


async def test_every_cut_of_every_rollout_is_put_together_in_order() -> None:
    judge = panel(big=(1, Scripted(0.5, "b")), watch=(0, Scripted(0.25, "w")))
    rows = await judge.score([submission(2, "r1"), submission(1, "r2")])
    assert [[v.raw.split("\n")[1] for v in row] for row in rows] == [["b on r1:0", "b on r1:1"], ["b on r2:0"]]
    assert rows[0][0].raw == "[big, weight 1: 0.5]\nb on r1:0\n\n[watch, weight 0: 0.25]\nw on r1:0"
    assert await judge.score([]) == []


async def test_what_everybody_cost_is_summed() -> None:
    verdict = await one(panel(a=(1, Scripted(0.5)), b=(1, Scripted("timeout")), watch=(0, Scripted(0.5))))
    assert verdict.usage == Usage(calls=3, prompt_tokens=30, completion_tokens=6, cached_tokens=15)


async def test_notes_of_the_voters_are_kept_with_their_names() -> None:
    verdict = await one(panel(a=(1, Scripted("late")), b=(1, Scripted(0.5, note="lost its middle"))))
    assert verdict.note == "without a; b: lost its middle"


async def test_members_judge_at_the_same_time() -> None:
    meeting = asyncio.Barrier(3)

    class Waits(Scripted):
        async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
            await meeting.wait()
            return await super().score(submissions)

    async with asyncio.timeout(5):
        verdict = await one(panel(a=(1, Waits(0.5)), b=(1, Waits(0.5)), watch=(0, Waits(0.0))))
    assert verdict.score == 0.5


def test_name_and_template_hash_are_those_of_the_voters() -> None:
    first = panel(a=(2, Scripted(0.5, "qwen")), b=(1, Scripted(0.5, "milestone")))
    watched = panel(a=(2, Scripted(0.5, "qwen")), b=(1, Scripted(0.5, "milestone")), watch=(0, Scripted(0.5, "w")))
    assert first.name == watched.name == "panel(2 qwen + 1 milestone)"
    assert first.template_hash == watched.template_hash
    others = [
        panel(a=(1, Scripted(0.5, "qwen")), b=(1, Scripted(0.5, "milestone"))),
        panel(a=(2, Scripted(0.5, "qwen", "new prompts")), b=(1, Scripted(0.5, "milestone"))),
        panel(a=(2, Scripted(0.5, "qwen"))),
    ]
    assert first.template_hash not in {other.template_hash for other in others}


async def test_all_members_are_closed_even_if_one_fails_at_it() -> None:
    judges = [Broken(0.5), Scripted(0.5), Scripted(0.5)]
    with pytest.raises(ValueError, match="boom"):
        await panel(a=(1, judges[0]), b=(1, judges[1]), watch=(0, judges[2])).aclose()
    assert [judge.closed for judge in judges] == [1, 1, 1]


def test_a_panel_in_which_nobody_votes_is_refused() -> None:
    with pytest.raises(JudgeError, match="give at least one a weight"):
        panel(watch=(0, Scripted(0.5)))


async def test_a_configuration_becomes_a_panel() -> None:
    config = PanelJudgeConfig.model_validate(
        {
            "members": {
                "rules": {"weight": 2, "judge": {"type": "milestone"}},
                "watch": {"weight": 0, "judge": {"type": "milestone"}},
            }
        }
    )
    judge = PanelJudge.of(config)
    problem = Problem("p", "1 + 1?", Reference("1 + 1 = 2", "2"))
    ((verdict,),) = await judge.score([Submission(problem, "r", "1 + 1 = 2", (9,), "outcome")])
    assert judge.name == "panel(2 milestone)"
    assert verdict.score is not None
    assert verdict.panel == (("watch", verdict.score),)
    await judge.aclose()


def test_importing_the_panel_imports_no_http_library_and_no_torch() -> None:
    code = "import sys, exprl.judge.panel; assert not {'aiohttp', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


opinions = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, "down"])),
    min_size=1,
    max_size=5,
).filter(lambda given: any(weight > 0 for weight, _ in given))


@given(opinions)
def test_a_score_lies_between_those_that_were_given_and_is_there_iff_a_voter_gave_one(
    given: list[tuple[float, float | str]],
) -> None:
    judge = PanelJudge([Member(f"m{i}", weight, Scripted(says)) for i, (weight, says) in enumerate(given)])
    verdict = asyncio.run(one(judge))
    voted = [says for weight, says in given if weight > 0 and isinstance(says, float)]
    assert (verdict.score is not None) == bool(voted)
    if verdict.score is not None:
        assert min(voted) <= verdict.score <= max(voted)
        assert len(set(voted)) > 1 or verdict.score == voted[0]  # agreement is kept to the last bit
    assert [name for name, _ in verdict.panel] == [f"m{i}" for i, (weight, _) in enumerate(given) if weight == 0]
