"""Self-distillation: the policy learns from itself as it would answer had it read the reference.

The teacher is the *initial* weights given problem, reference and "understand it, then solve in your own way" (METHOD 4).
For every token that the policy sampled, with S the policy (the student) and T the teacher, both at the sampling temperature,

    d = log pi_S - log pi_T        loss = token mean of stop_grad(d) * log pi_theta

whose gradient is that of the reverse KL from student to teacher, sampled. It is the trainer's own loss with the token's
advantage A = -d: on-policy the ratio is 1, so -A * ratio has the gradient d * grad log pi_theta. There is no group, no
baseline, no clip, no KL to the start and no standard deviation; a truncated rollout counts like any other, since d is known
for every token of it. Sampling, order, ledger, checkpoints and resumption are those of every other method.

The policy's prompt never holds the reference; the teacher's does, and stays in `exprl.baselines.teacher`. A rollout's
reward in the record is its mean A: the larger it is (0 where they agree), the less the teacher finds to correct.

    >>> token_credit([np.array([-1.0, -2.0])], [np.array([-1.5, -0.5])])
    [array([-0.5,  1.5])]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exprl.baselines.teacher import Teacher
from exprl.config import PolicyConfig, PromptConfig, SelfDistillConfig
from exprl.engines.trl.checkpoint import check_policy_path, load_tokenizer
from exprl.methods.batch import Credits, Floats, LogProbs, RolloutBatch, whole_trace
from exprl.prompting import encode
from exprl.types import Problem

__all__ = ["SelfDistillation", "open_self_distillation", "token_credit"]


def token_credit(student: Sequence[Floats], teacher: Sequence[Floats]) -> list[Floats]:
    """A = log pi_T - log pi_S for R rollouts of (T_r,) tokens."""
    return [told - said for said, told in zip(student, teacher, strict=True)]


def open_self_distillation(
    settings: SelfDistillConfig, start: str, problems: Sequence[Problem], policy: PolicyConfig, prompt: PromptConfig
) -> SelfDistillation:
    """The method, with every prompt built and checked; the teacher's weights are loaded with the first batch.

    Args:
        start: path or Hub id of the initial weights.
    Raises:
        CheckpointError: `start` is no checkpoint.
        DataError: a teacher's prompt that does not fit, or a problem without a reference solution.
    """
    check_policy_path(start)
    tokenizer = load_tokenizer(start)
    asked: dict[str, list[int]] = {}
    for problem in problems:
        question = problem.question
        asked[problem.id] = encode(question, prompt, tokenizer, policy.chat)
    return SelfDistillation(asked, Teacher(start, problems, settings, policy, prompt, tokenizer))


class SelfDistillation:
    """Credit token by token: how much likelier the teacher finds what the policy has sampled."""

    name = "self_distill"

    def __init__(self, prompts: dict[str, list[int]], teacher: Teacher) -> None:
        self._prompts = prompts
        self._teacher = teacher
        self._student: LogProbs | None = None

    def bind(self, student: LogProbs) -> None:
        """Take the policy in training, as a function from prompts and completions to log-probabilities."""
        self._student = student

    def credit(self, batch: RolloutBatch) -> Credits:
        """Compare student and teacher on every sampled token; nobody is asked, so nothing is unscored."""
        if self._student is None:
            raise RuntimeError("self-distillation reads the policy's probabilities: bind() it to a trainer first")
        ids = [rollout.ids for rollout in batch.rollouts]
        names = [problem.id for problem in batch.problems]
        said = self._student([self._prompts[name] for name in names], ids)
        tokens = token_credit(said, self._teacher.log_probs(names, ids))
        mean_R = np.array([row.mean() if row.size else 0.0 for row in tokens])
        return Credits(
            segments=whole_trace(batch.rollouts),
            rewards_R=mean_R,
            advantages_RS=mean_R[:, None],
            scores=[()] * len(ids),
            verdicts=[()] * len(ids),
            judged=False,
            tokens=tokens,
        )
