"""Annotations of many rollouts, kept in `annotations.jsonl` so that a killed call goes on where it was.

A row is appended as soon as its annotation is there, so kill -9 loses at most the calls in flight. What the file holds
under the same key is not asked again; a trace that stayed unannotated is. Rollouts with the same problem and text are
annotated once.

What it refuses: to go on filling the file with failures. Once more than `limit` of the traces asked about so far (at least
a batch of them) have no annotation it stops; those that were annotated are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from exprl.errors import UnscoredLimitError
from exprl.evaluate.behave import lexical
from exprl.evaluate.behave.annotation import Annotation, Trace, known
from exprl.evaluate.behave.llm import LLMAnnotator
from exprl.runs import append_jsonl

__all__ = ["BATCH", "FILE", "annotate_lexically", "annotate_with", "waiting"]

FILE = "annotations.jsonl"
BATCH = 64
_ROWS = 4096
OnDone = Callable[[int], None]


def waiting(traces: Iterable[Trace], identity: str, done: Mapping[str, Annotation]) -> dict[str, Trace]:
    """The traces that have no annotation yet, by key, each text once."""
    found: dict[str, Trace] = {}
    for trace in traces:
        if (key := trace.key(identity)) not in done:
            found.setdefault(key, trace)
    return found


def annotate_lexically(
    traces: Sequence[Trace], out: Path, on_done: OnDone = lambda count: None
) -> dict[str, Annotation]:
    """Annotations of all traces by the lexical annotator, by key; new ones are appended to `out`."""
    done = known(out)
    todo = list(waiting(traces, lexical.IDENTITY, done).items())
    for start in range(0, len(todo), _ROWS):
        part = [(key, trace, lexical.annotate(trace.text)) for key, trace in todo[start : start + _ROWS]]
        append_jsonl(out, [annotation.row(key, "lexical", trace) for key, trace, annotation in part])
        done |= {key: annotation for key, _, annotation in part}
        on_done(len(part))
    return done


async def annotate_with(
    annotator: LLMAnnotator, traces: Sequence[Trace], out: Path, *, limit: float, on_done: OnDone = lambda count: None
) -> dict[str, Annotation]:
    """Annotations of all traces by a model, by key; closes the annotator.

    Args:
        limit: share of traces that may stay unannotated.
    Raises:
        UnscoredLimitError: more than that. What was annotated is kept.
    """
    done = known(out)
    todo = list(waiting(traces, annotator.identity, done).items())
    missing: list[str] = []

    async def one(key: str, trace: Trace) -> None:
        annotation = await annotator.annotate(trace)
        if annotation.why is not None:
            missing.append(annotation.why)
        done[key] = annotation
        append_jsonl(out, [annotation.row(key, annotator.name, trace)])
        on_done(1)

    try:
        for start in range(0, len(todo), BATCH):
            async with asyncio.TaskGroup() as group:
                for key, trace in todo[start : start + BATCH]:
                    group.create_task(one(key, trace))
            _check(missing, min(start + BATCH, len(todo)), limit)
    finally:
        await annotator.aclose()
    return done


def _check(missing: Sequence[str], asked: int, limit: float) -> None:
    if len(missing) > limit * asked:
        raise UnscoredLimitError(
            f"{len(missing)} of {asked} rollouts could not be annotated (limit {limit:.0%}); most often: "
            f"{max(set(missing), key=missing.count)}. Mend the annotator (judge.structured = true helps small models) and "
            "run the same command again: annotated rollouts are kept; --unscored_limit 1 goes on all the same"
        )
