"""What a worker of the agent loop holds: problems with their references, the method, the verifier, the tokenizer.

One rollout goes through it as soon as it is finished, so that judging overlaps with the sampling of the others:

    ids -> text -> the verifier's word -> Method.credit of a batch of one -> marks (exprl.engines.verl.marks)
                                                                             or targets, of a teacher (.distill)

It is the same `Method.credit` that the engine on one machine calls, so a rollout is cut, judged and run in the same way; of
what it gives, segments, scores and verdicts are kept, and the credit, which needs the whole group, is left to the estimator.

The problems' source is opened by the worker itself. What a policy server is sent are token ids of a `Question`; what goes
back to the trainer are numbers. The record of it goes to a file of this process (`exprl.engines.verl.record`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exprl.baselines.targets import against_sampler
from exprl.config import PolicyConfig, ProcessConfig, PromptConfig
from exprl.engines.verl.credit import Sampling
from exprl.engines.verl.distill import write_targets
from exprl.engines.verl.marks import read_marks, write_marks
from exprl.engines.verl.record import Attempt, part_row
from exprl.errors import DataError
from exprl.methods import Credits, Method, RolloutBatch
from exprl.methods.execution import executed
from exprl.prompting import ChatTokenizer, encode
from exprl.tokens import TokenMap
from exprl.types import Problem, Rollout
from exprl.verify import Verifier

__all__ = ["Judged", "Room", "Sampled", "end_ids"]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A finished rollout: which problem's, its token ids, when, as which of the prompt's, and what the sampler says of it.

    Attributes:
        log_probs: of its tokens at the sampling temperature; empty where the policy's server gives none.
    """

    problem_id: str
    ids: tuple[int, ...]
    step: int
    uid: str
    session: int
    log_probs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What the trainer is told of a rollout.

    Attributes:
        marks_T: (T,) token-level rewards.
        reward: what the method rewarded it with; None where it could not be scored, and it leaves the loss.
    """

    marks_T: NDArray[np.float32]
    reward: float | None


class Room:
    """Judges finished rollouts, many at a time, in the event loop of its process.

    Args:
        write: takes the record of each rollout.
        on_close: lets go of the judge's connections.
        ends: token ids that end an answer; one that ends otherwise is truncated.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        settings: Sampling,
        method: Method,
        verifier: Verifier,
        tokenizer: ChatTokenizer,
        token_map: TokenMap,
        prompt: PromptConfig,
        policy: PolicyConfig,
        *,
        attempt: Attempt,
        ends: frozenset[int],
        write: Callable[[Mapping[str, object]], None],
        on_close: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._problems = {problem.id: problem for problem in problems}
        self._settings, self._method, self._verifier = settings, method, verifier
        self._tokenizer, self._map = tokenizer, token_map
        self._prompt, self._chat = prompt, policy.chat
        self._attempt, self._ends, self._write = attempt, ends, write
        self._on_close = on_close

    def prompt_ids(self, problem_id: str) -> list[int]:
        """The tokens that the policy continues: of the question alone."""
        return encode(self._problem(problem_id).question, self._prompt, self._tokenizer, self._chat)

    async def judge(self, sampled: Sampled) -> Judged:
        """Verify and judge one rollout, and record it.

        Raises:
            VerifierError: a verifier that is needed cannot work here.
        """
        batch = await self._batch(sampled)
        given = self._method.credit(batch)
        credits = given if isinstance(given, Credits) else await given
        if credits.tokens is not None:
            credits = against_sampler(credits, [sampled.log_probs])
        program = isinstance(self._settings, ProcessConfig) and bool(executed(batch, self._settings.execution))
        marks_T = self._marks(sampled, batch, credits, program)
        self._write(part_row(self._attempt, sampled, batch, credits, program))
        dropped = credits.dropped_R if credits.tokens is not None else read_marks(marks_T[None]).unscored_R
        return Judged(marks_T, None if dropped[0] else float(credits.rewards_R[0]))

    async def aclose(self) -> None:
        """Stop the verifier and let go of the judge, in the loop that judged."""
        self._verifier.close()
        if self._on_close is not None:
            await self._on_close()

    async def _batch(self, sampled: Sampled) -> RolloutBatch:
        problem = self._problem(sampled.problem_id)
        ids = list(sampled.ids)
        truncated = not ids or ids[-1] not in self._ends
        name = f"{sampled.step:06d}-{sampled.uid}-{sampled.session}"
        rollout = Rollout(name, problem.id, self._map.text(ids), len(ids), truncated, sampled.ids)
        # A verifier may take seconds (a program's tests); the loop must go on with the other rollouts meanwhile.
        words = await asyncio.to_thread(self._verifier.verify, [(problem, rollout.text)])
        return RolloutBatch([problem], [rollout], np.zeros(1, dtype=np.int64), [self._map.ends(ids)], words)

    def _marks(self, sampled: Sampled, batch: RolloutBatch, credits: Credits, program: bool) -> NDArray[np.float32]:
        if credits.tokens is not None:
            return write_targets(None if credits.dropped_R[0] else credits.tokens[0], len(sampled.ids))
        if not sampled.ids:  # verl's rows have a token at least: the loop puts one there and masks it
            return write_marks([0], (None,), truncated=True, program=program)
        return write_marks(
            self._map.segment_of_token(list(sampled.ids), credits.segments[0]),
            credits.scores[0],
            truncated=batch.rollouts[0].truncated,
            program=program,
        )

    def _problem(self, problem_id: str) -> Problem:
        if problem_id not in self._problems:
            raise DataError(
                f"problem {problem_id!r} is in verl's dataset and not in the run's data; was the source changed? "
                "Start a new run"
            )
        return self._problems[problem_id]


def end_ids(policy: str, tokenizer_end: int | None) -> frozenset[int]:
    """Token ids that end an answer: the tokenizer's, and those that the policy's generation_config.json names."""
    file = Path(policy) / "generation_config.json"
    named: object = json.loads(file.read_text("utf-8")).get("eos_token_id") if file.is_file() else _hub_ends(policy)
    ends = named if isinstance(named, list) else [named]
    return frozenset(end for end in (*ends, tokenizer_end) if isinstance(end, int))


def _hub_ends(policy: str) -> object:
    if Path(policy).is_dir():
        return None
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(policy).eos_token_id
    except OSError:  # a policy without one; its tokenizer's end stands alone
        return None
