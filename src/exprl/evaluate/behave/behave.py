"""From samples to `behave.json`: annotate what is not annotated yet, measure, write.

<out>/ annotations.jsonl    a row a rollout and annotator, append-only
       judge.sqlite         what an LLM annotator cost
       behave.json          the numbers and what may be said of them

>>> report = behave(of_run(Path("runs/demo"), Choice()), Plan(out=Path("runs/demo/behave")))  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exprl.config import LLMJudgeConfig
from exprl.errors import DataError
from exprl.evaluate.behave import lexical
from exprl.evaluate.behave.agreement import Agreement, Rated, agreements
from exprl.evaluate.behave.annotate import FILE, annotate_lexically, annotate_with, waiting
from exprl.evaluate.behave.annotation import Annotation, Trace, known
from exprl.evaluate.behave.llm import LLMAnnotator, identity_of
from exprl.evaluate.behave.measure import Tally, measure
from exprl.evaluate.behave.result import Compared, Report
from exprl.evaluate.behave.sources import Found, Group, Pair
from exprl.runs import RunLock, write_json

__all__ = ["Annotator", "Plan", "Work", "behave", "work"]

Annotator = Literal["lexical", "llm"]
OnDone = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who annotates, and how it is counted. `llm` is needed where "llm" is among the annotators."""

    out: Path
    annotators: tuple[Annotator, ...] = ("lexical",)
    llm: LLMJudgeConfig | None = None
    unscored_limit: float = 0.2
    bootstrap: int = 2000
    level: float = 0.95

    def identity(self, annotator: Annotator) -> str:
        """What the keys of its annotations are made from."""
        return lexical.IDENTITY if annotator == "lexical" else identity_of(self.model)

    @property
    def model(self) -> LLMJudgeConfig:
        """The configuration of the annotating model."""
        if self.llm is None:
            raise ValueError("an LLM annotator needs its configuration")
        return self.llm


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: rollouts in all, and of each annotator those still to be annotated (each text once)."""

    rollouts: int
    waiting: Mapping[Annotator, int]
    longest: int

    def __str__(self) -> str:
        each = ", ".join(f"{name}: {count:,} to annotate" for name, count in self.waiting.items())
        return f"{self.rollouts:,} rollouts, {each}; the longest has {self.longest:,} characters"


def work(found: Found, plan: Plan) -> Work:
    """What `behave` would do; spends nothing.

    Raises:
        DataError: an LLM annotator, and problems without text.
    """
    traces = found.traces
    _require_problems(traces, plan)
    done = known(plan.out / FILE)
    left = {name: waiting(traces, plan.identity(name), done) for name in plan.annotators}
    longest = max((len(trace.text) for todo in left.values() for trace in todo.values()), default=0)
    return Work(len(traces), {name: len(todo) for name, todo in left.items()}, longest)


def behave(found: Found, plan: Plan, on_done: OnDone = lambda annotator, count: None) -> Report:
    """Annotate, measure, and write behave.json.

    Raises:
        DataError: an LLM annotator, and problems without text.
        UnscoredLimitError: too many rollouts without an annotation.
        RunError: another process works in the folder.
    """
    traces = found.traces
    _require_problems(traces, plan)
    plan.out.mkdir(parents=True, exist_ok=True)
    with RunLock(plan.out):
        annotated: dict[Annotator, dict[str, Annotation]] = {}
        cost = ""
        for name in plan.annotators:
            if name == "lexical":
                annotated[name] = annotate_lexically(traces, plan.out / FILE, lambda count: on_done("lexical", count))
            else:
                annotated[name], cost = asyncio.run(_asked(traces, plan, on_done))
        agreed = _agreed(traces, plan, annotated)
        compared = tuple(_compared(found, plan, annotated))
        report = Report(plan.level, compared, agreed, found.left_out, _missing(traces, plan, annotated), cost)
        write_json(plan.out / "behave.json", report.as_dict())
    return report


async def _asked(traces: list[Trace], plan: Plan, on_done: OnDone) -> tuple[dict[str, Annotation], str]:
    """The model's annotations, and what they have cost."""
    annotator = LLMAnnotator(plan.model, store=plan.out)
    found = await annotate_with(
        annotator, traces, plan.out / FILE, limit=plan.unscored_limit, on_done=lambda count: on_done("llm", count)
    )
    return found, str(annotator.spent())


def _compared(found: Found, plan: Plan, annotated: Mapping[Annotator, Mapping[str, Annotation]]) -> list[Compared]:
    results = []
    for name in plan.annotators:
        for pair in found.pairs:
            base = _tally(pair.base, pair, plan.identity(name), annotated[name])
            for group in pair.others:
                other = _tally(group, pair, plan.identity(name), annotated[name])
                results.append(_one(name, pair, group, base, other, plan))
    return results


def _one(name: Annotator, pair: Pair, group: Group, base: Tally, other: Tally, plan: Plan) -> Compared:
    missing = {why: base.missing.get(why, 0) + other.missing.get(why, 0) for why in {**base.missing, **other.missing}}
    measured = measure(base, other, bootstrap=plan.bootstrap, level=plan.level)
    return Compared(
        name,
        pair.set_name,
        group.name,
        measured.changes[0].problems if measured is not None else 0,
        len(group.seeds),
        sum(map(len, group.seeds)),
        sum(map(len, pair.base.seeds)),
        missing,
        measured,
    )


def _tally(group: Group, pair: Pair, identity: str, annotated: Mapping[str, Annotation]) -> Tally:
    seeds = [[(trace.question, annotated[trace.key(identity)]) for trace in seed] for seed in group.seeds]
    return Tally.of(seeds, pair.ids)


def _agreed(
    traces: list[Trace], plan: Plan, annotated: Mapping[Annotator, Mapping[str, Annotation]]
) -> tuple[Agreement, ...]:
    if set(plan.annotators) != {"lexical", "llm"}:
        return ()
    rated = [
        Rated(
            trace.question,
            annotated["lexical"][trace.key(plan.identity("lexical"))],
            annotated["llm"][trace.key(plan.identity("llm"))],
        )
        for trace in traces
    ]
    return agreements(rated, bootstrap=plan.bootstrap, level=plan.level)


def _missing(
    traces: list[Trace], plan: Plan, annotated: Mapping[Annotator, Mapping[str, Annotation]]
) -> dict[str, int]:
    """How many rollouts have no annotation, by reason."""
    found = (annotated[name][trace.key(plan.identity(name))].why for name in plan.annotators for trace in traces)
    return dict(Counter(why for why in found if why is not None).most_common())


def _require_problems(traces: list[Trace], plan: Plan) -> None:
    if "llm" in plan.annotators and any(not trace.problem for trace in traces):
        raise DataError(
            "an LLM annotator reads the problem beside the rollout: give --problems, a JSONL of id and text (a run's "
            "problems.jsonl), or use --annotator lexical"
        )
