"""A teacher behind a server says what the teacher in this process says, at any temperature up to 1, or says why not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from teacher_server import Spoil, teacher_server
from verl_world import save_policy

from exprl.baselines.served_teacher import ServedTeacher, at_temperature
from exprl.baselines.targets import LocalTeacher, TeacherTargets, against_sampler
from exprl.baselines.teacher import Teacher, teacher_prompts
from exprl.config import PolicyConfig, PromptConfig, SelfDistillConfig, TeacherServerConfig
from exprl.engines.trl.checkpoint import load_tokenizer
from exprl.errors import ConfigError, JudgeError
from exprl.judge.http.wire import Failure
from exprl.methods.batch import Floats, RolloutBatch, unscored_rollouts
from exprl.types import Problem, Reference, Rollout, Verdict

CANARY = "70070070"
PROBLEMS = [Problem(f"p{i}", f"{1111 + i} then rev?", Reference(f"{i}+1 {CANARY}", f"{CANARY}{i}")) for i in range(3)]
PROMPT = PromptConfig(system="", user="{problem}")
ANSWERS = [[5, 6, 7, 8], [9, 9, 3], [], [4]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy") / "policy", attentive=True)


def settings(temperature: float) -> SelfDistillConfig:
    return SelfDistillConfig(temperature=temperature, max_tokens=8, max_teacher_tokens=56)


def local(policy: Path, temperature: float) -> Teacher:
    config = PolicyConfig(model=str(policy), dtype="float32", device="cpu")
    return Teacher(str(policy), PROBLEMS, settings(temperature), config, PROMPT, load_tokenizer(str(policy)))


def prompts(policy: Path) -> dict[str, list[int]]:
    config = PolicyConfig(model=str(policy))
    return teacher_prompts(str(policy), PROBLEMS, settings(1.0), config, PROMPT, load_tokenizer(str(policy)))


def asked(
    policy: Path, temperature: float, spoil: Spoil | None = None, **changes: Any
) -> tuple[list[Floats | Failure], list[dict[str, Any]]]:
    """What a served teacher says of `ANSWERS`, and what its server was sent."""

    async def ask() -> tuple[list[Floats | Failure], list[dict[str, Any]]]:
        async with teacher_server(policy, spoil) as server:
            how = TeacherServerConfig.model_validate({"url": server.url, "retries": 0, **changes})
            teacher = ServedTeacher(how, prompts(policy), temperature, "weights")
            said = [await teacher.log_probs(f"p{i % 3}", ids) for i, ids in enumerate(ANSWERS)]
            await teacher.aclose()
            return said, server.asked

    return asyncio.run(ask())


def here(policy: Path, temperature: float) -> list[Floats]:
    return local(policy, temperature).log_probs([f"p{i % 3}" for i in range(len(ANSWERS))], ANSWERS)


def test_at_temperature_one_it_is_the_local_teachers_word(policy: Path) -> None:
    said, sent = asked(policy, 1.0)
    for told, expected in zip(said, here(policy, 1.0), strict=True):
        np.testing.assert_allclose(told, expected, rtol=0, atol=1e-5)
    assert {body["prompt_logprobs"] for body in sent} == {0}
    unasked = local(policy, 1.0).log_probs(["p1", "p2", "p0", "p1"], ANSWERS)
    assert np.abs(unasked[0] - said[0]).max() > 0.01  # of another problem's prompt it is another
    assert {body["model"] for body in sent} == {"weights"}


def test_below_one_it_is_too_with_the_whole_vocabulary_and_close_with_a_part(policy: Path) -> None:
    for told, expected in zip(asked(policy, 0.8, alternatives=500)[0], here(policy, 0.8), strict=True):
        np.testing.assert_allclose(told, expected, rtol=0, atol=1e-5)
    few, many = (
        max(
            float(np.abs(np.asarray(told) - expected).max(initial=0.0))
            for told, expected in zip(asked(policy, 0.8, alternatives=k)[0], here(policy, 0.8), strict=True)
        )
        for k in (2, 20)
    )
    assert few > many > 1e-4  # a random policy of some fifty tokens is the hard case


@given(
    st.lists(st.floats(-8, 8), min_size=3, max_size=40),
    st.integers(1, 12),
    st.integers(0, 10**6),
    st.floats(0.05, 1.0),
)
def test_the_error_is_never_larger_than_said(
    logits: list[float], likeliest: int, pick: int, temperature: float
) -> None:
    scaled = np.array(logits) / temperature
    exact = scaled - np.logaddexp.reduce(scaled)
    log_probs = np.array(logits) - np.logaddexp.reduce(logits)
    token = pick % len(logits)
    others = [i for i in np.argsort(-log_probs, kind="stable")[:likeliest].tolist() if i != token]
    value, error = at_temperature(float(log_probs[token]), log_probs[others].tolist(), temperature)
    assert abs(value - exact[token]) <= error + 1e-6
    assert value <= 1e-9


def test_a_part_that_holds_nearly_all_is_nearly_exact() -> None:
    weights = np.array([0.6, 0.3, 0.09, *[1e-5] * 1000])
    value, error = at_temperature(math.log(0.3), np.log(weights[[0, 2]]).tolist(), 0.8)
    exact = math.log(0.3) / 0.8 - math.log((weights**1.25).sum())
    assert abs(value - exact) <= error < 5e-3


def test_a_temperature_above_one_and_a_url_that_is_none_are_refused(policy: Path) -> None:
    with pytest.raises(ConfigError, match="above temperature 1"):
        ServedTeacher(TeacherServerConfig(url="http://h/v1"), {}, 1.1, "m")
    with pytest.raises(JudgeError, match=r"cluster\.teacher\.url is not an http"):
        ServedTeacher(TeacherServerConfig(url="h/v1"), {}, 1.0, "m")


def _without(answer: dict[str, Any]) -> Any:
    del answer["choices"][0]["prompt_logprobs"]
    return answer


def _shorter(answer: dict[str, Any]) -> Any:
    answer["choices"][0]["prompt_logprobs"].pop()
    return answer


def _another_tokenizer(answer: dict[str, Any]) -> Any:
    answer["choices"][0]["prompt_logprobs"][-1] = {"99999": {"logprob": -0.1}}
    return answer


def _positive(answer: dict[str, Any]) -> Any:
    for entry in answer["choices"][0]["prompt_logprobs"][-1].values():
        entry["logprob"] = 2.0
    return answer


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without, "no prompt_logprobs"),
        (_shorter, "no prompt_logprobs"),
        (_positive, "no prompt_logprobs"),
        (_another_tokenizer, "another tokenizer"),
        (lambda _: {"choices": []}, "no prompt_logprobs"),
        (lambda _: ["SECRET"], "no prompt_logprobs"),
        (lambda _: 503, "teacher answered HTTP 503"),
        (lambda _: 401, "EXPRL_TEACHER_API_KEY"),
    ],
)
def test_a_bad_answer_is_a_reason_that_quotes_nothing(policy: Path, spoil: Spoil, words: str) -> None:
    said, _ = asked(policy, 0.8, spoil)
    for answer in said:
        assert isinstance(answer, Failure)
        assert words in answer.reason
        assert "SECRET" not in answer.reason
        assert CANARY not in answer.reason


def test_a_zero_probability_is_a_large_number_and_not_infinite(policy: Path) -> None:
    def zero(answer: dict[str, Any]) -> Any:
        for entry in answer["choices"][0]["prompt_logprobs"][-1].values():
            entry["logprob"] = -9999.0
        return answer

    for answer, ids in zip(asked(policy, 0.8, zero)[0], ANSWERS, strict=True):
        assert not isinstance(answer, Failure)
        assert len(answer) == len(ids)
        assert np.isfinite(answer).all()


class _Failing(LocalTeacher):
    """Does not answer for the answer of one token."""

    async def log_probs(self, problem_id: str, ids: Sequence[int]) -> Floats | Failure:
        return Failure("teacher timeout") if len(ids) == 1 else await super().log_probs(problem_id, ids)


def test_a_rollout_that_was_not_answered_for_is_out_of_the_loss_truncated_or_not(policy: Path) -> None:
    rollouts = [Rollout(f"r{i}", f"p{i % 3}", "t", len(ids), True, tuple(ids)) for i, ids in enumerate(ANSWERS)]
    problems = [PROBLEMS[i % 3] for i in range(len(ANSWERS))]
    words = [Verdict(0.0)] * len(ANSWERS)
    batch = RolloutBatch(problems, rollouts, np.arange(4), [np.zeros(0, dtype=np.int64)] * 4, words)
    credits = asyncio.run(TeacherTargets(_Failing(local(policy, 0.8))).credit(batch))
    assert credits.tokens is not None
    for told, expected in zip(credits.tokens[:3], here(policy, 0.8)[:3], strict=True):
        np.testing.assert_allclose(told, expected, rtol=0, atol=1e-6)
    assert credits.dropped_R.tolist() == [False, False, False, True]
    assert unscored_rollouts(credits, batch.truncated_R).tolist() == [False, False, False, True]
    assert credits.verdicts[3][0].unscored == "teacher timeout"
    shown = against_sampler(credits, [[-1.0] * 4, [], [], [-1.0]])
    assert shown.rewards_R[0] == pytest.approx(credits.tokens[0].mean() + 1.0)
    assert shown.rewards_R[1:3].tolist() == [0.0, 0.0]
    assert np.isnan(shown.rewards_R[3])
