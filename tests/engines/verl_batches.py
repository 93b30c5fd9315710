"""One batch for both engines: rollouts of whole groups, some truncated, some unscored, some programs, one empty."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exprl.config import OutcomeConfig, PolicyConfig, ProcessConfig, PromptConfig, SegmentConfig, SparseConfig
from exprl.engines.trl.ledger import Ledger
from exprl.engines.trl.scoring import Scored, make_scorer
from exprl.engines.verl.credit import Graded
from exprl.engines.verl.record import Attempt
from exprl.engines.verl.room import Judged, Room, Sampled
from exprl.methods import build_method
from exprl.tokens import TokenMap
from exprl.types import Problem, Reference, Submission, Verdict
from exprl.worlds.tokenizer import PIECES, make_tokenizer

GROUP = 5
SEGMENTS = SegmentConfig(rule="tokens", token_budget=3)

METHODS: dict[str, Graded] = {
    "outcome": OutcomeConfig(),
    "outcome, no std": OutcomeConfig(normalise_std=False),
    "outcome, programs judged": OutcomeConfig(execution="never"),
    "sparse": SparseConfig(),
    "sparse, no std": SparseConfig(normalise_std=False),
    **{
        f"{credit}, {scope}, outcome {weight}": ProcessConfig(credit=credit, scope=scope, outcome_weight=weight)
        for credit in ("delta_norm", "end_norm", "group_norm")
        for scope in ("prefix", "segment")
        for weight in (0.0, 0.5)
    },
    "process, all or nothing": ProcessConfig(execution="all", outcome_weight=0.25),
    "process, programs judged": ProcessConfig(execution="never", credit="group_norm"),
}


def _number(text: str, salt: str) -> int:
    return hashlib.sha256((salt + text).encode()).digest()[0]


class UnevenJudge:
    """Scores that float32 does not hold; one submission in nine is left without the score of one cut."""

    name = template_hash = "uneven"

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [tuple(self._one(submission, i) for i in range(len(submission.cuts))) for submission in submissions]

    def _one(self, submission: Submission, cut: int) -> Verdict:
        start = submission.cuts[cut - 1] if submission.scope == "segment" and cut else 0
        text = submission.text[start : submission.cuts[cut]]
        if _number(submission.text, "broken") % 9 == 0 and cut == 0:
            return Verdict(None, unscored="the judge is broken")
        return Verdict(_number(text, submission.scope) % 8 / 7)

    async def aclose(self) -> None: ...


class UnevenVerifier:
    """Right or wrong by a hash; programs are run, and one in seven answers cannot be checked."""

    name = "uneven"

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        return [self._one(problem, text) for problem, text in pairs]

    def _one(self, problem: Problem, text: str) -> Verdict:
        judge = "code" if problem.reference.has_tests else "math"
        if _number(text, "timeout") % 7 == 0:
            return Verdict(None, unscored="timeout", judge=judge)
        passed = _number(text, "share") % 12
        return Verdict(float(passed == 11), judge=judge, share=passed / 11 if judge == "code" else None)

    def close(self) -> None: ...


@dataclass(frozen=True)
class Case:
    """Rollouts of whole groups, as (problem id, ids), and what both engines need."""

    problems: list[Problem]
    rows: list[tuple[str, tuple[int, ...]]]
    tokenizer: Any
    token_map: TokenMap

    @property
    def end(self) -> int:
        return int(self.tokenizer.eos_token_id)


def make_case(seed: int = 0) -> Case:
    """Six problems, the last two of them programs; some rollouts run into the budget, one is empty."""
    random = np.random.default_rng(seed)
    tokenizer = make_tokenizer()
    problems = [
        Problem(f"p{i}", f"{i} then rev?", Reference(f"SECRET {i}", str(i), '{"SECRET": 1}' if i > 3 else None))
        for i in range(6)
    ]
    special = set(tokenizer.all_special_ids)
    plain = [i for i in range(len(PIECES)) if i not in special]
    rows: list[tuple[str, tuple[int, ...]]] = []
    for problem in problems:
        for _ in range(GROUP):
            ids = random.choice(plain, size=random.integers(1, 14)).tolist()
            end = [] if random.random() < 0.2 else [tokenizer.eos_token_id]
            rows.append((problem.id, (*ids, *end)))
    rows[7] = ("p1", ())
    rows[11] = ("p2", (tokenizer.eos_token_id,))
    return Case(problems, rows, tokenizer, TokenMap.from_tokenizer(tokenizer))


def on_one_machine(case: Case, method: Graded, folder: Path) -> Scored:
    """The batch's credit by the engine on one machine."""
    scorer = make_scorer(
        case.problems,
        build_method(method, UnevenJudge(), SEGMENTS),
        UnevenVerifier(),
        Ledger(folder, len(case.problems)),
        case.token_map,
        asyncio.run,
        group=GROUP,
        limit=1.0,
    )
    ids = [row for _, row in case.rows]
    truncated = [not row or row[-1] != case.end for row in ids]
    return scorer([name for name, _ in case.rows], ids, truncated, 1)


def open_test_room(case: Case, method: Graded, written: list[dict[str, object]], folder: Path = Path()) -> Room:
    """A worker's room, whose record goes into a list."""
    return Room(
        case.problems,
        method,
        build_method(method, UnevenJudge(), SEGMENTS),
        UnevenVerifier(),
        case.tokenizer,
        case.token_map,
        PromptConfig(system=None),
        PolicyConfig(),
        attempt=Attempt("a", folder),
        ends=frozenset({case.end}),
        write=lambda row: written.append(dict(row)),
    )


def on_a_cluster(case: Case, method: Graded, written: list[dict[str, object]] | None = None) -> list[Judged]:
    """Every rollout by itself, as a worker judges it."""
    room = open_test_room(case, method, [] if written is None else written)

    async def all_of_them() -> list[Judged]:
        sampled = [Sampled(name, ids, 1, f"u{name}", i % GROUP) for i, (name, ids) in enumerate(case.rows)]
        return list(await asyncio.gather(*map(room.judge, sampled)))

    return asyncio.run(all_of_them())


def padded(judged: Sequence[Judged], width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(R, width) marks."""
    rows = np.zeros((len(judged), width), dtype=np.float32)
    for row, one in zip(rows, judged, strict=True):
        row[: len(one.marks_T)] = one.marks_T
    return rows


def wide(credit: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """The same credit, padded with 0 to a width."""
    return np.pad(credit, ((0, 0), (0, width - credit.shape[1])))
