"""Which rollouts are compared: those of a run directory, base against each arm and stage, or those of plain files.

A `Group` is one policy's rollouts on one set, one list a seed of training; a `Pair` sets one or several groups against a
base on the same problems. Of a run, finished evaluations count; what is not finished is named in `Found.left_out`.

What this module refuses, with the remedy: a set, arm or stage that the run does not have, rows that are no samples,
pairs whose problems differ, and a selection without samples. A problem's text comes from the run's `problems.jsonl` or
from a file of problems, of which the columns `id` and `text` (or `problem`) are read and nothing else.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from exprl.errors import DataError, RunError
from exprl.evaluate.behave.annotation import Trace
from exprl.runs import RunDir, is_done, iter_jsonl

__all__ = ["Choice", "Found", "Group", "Pair", "of_files", "of_run"]

Stage = Literal["stage1", "stage2"]
_STAGES: tuple[Stage, ...] = get_args(Stage)


class Choice(NamedTuple):
    """How much is annotated: at most `limit` problems of a set (drawn by `seed`), the first `samples` rollouts of each."""

    limit: int | None = None
    samples: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """One policy's rollouts on one set: a tuple of traces a seed of training."""

    name: str
    seeds: tuple[tuple[Trace, ...], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared on one set: the others with the base, on the problems `ids`."""

    set_name: str
    ids: tuple[str, ...]
    base: Group
    others: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The pairs, and what was left out because it is not finished."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...] = ()

    @property
    def traces(self) -> list[Trace]:
        """All rollouts, the base's first."""
        groups = (group for pair in self.pairs for group in (pair.base, *pair.others))
        return [trace for group in groups for seed in group.seeds for trace in seed]


def of_run(
    path: Path, choice: Choice, *, arms: Sequence[str] = (), stages: Sequence[str] = (), sets: Sequence[str] = ()
) -> Found:
    """The base policy and every arm, stage and seed of a run that is finished, or those that are named.

    Raises:
        RunError: no run directory, an unknown arm, stage or set, or nothing finished to compare.
    """
    run = RunDir.open(path)
    texts, there = _problems_of(run)
    arms = _known("arm", arms, list(run.config.arms))
    has: list[str] = [stage for stage in _STAGES if stage == "stage1" or run.config.stage2 is not None]
    stages = _known("stage", stages, has)
    pairs: list[Pair] = []
    left_out: list[str] = []
    for name in _known("set", sets, there):
        if not is_done(run.base(name).path):
            left_out.append(f"base on {name}")
            continue
        files: dict[str, list[Path]] = {}
        for arm in arms:
            for stage in _STAGES:
                if stage in stages:
                    found = _finished(run, arm, stage, name, left_out)
                    files |= {f"{arm} {stage}": found} if found else {}
        if files:
            pairs.append(_pair(name, run.base(name).samples, files, texts, choice))
    if not pairs:
        raise RunError(f"{path}: no finished samples to compare ({'; '.join(left_out[:4])}); finish the run first")
    return Found(tuple(pairs), tuple(left_out))


def of_files(base: Path, others: Sequence[Path], problems: Path | None, choice: Choice) -> Found:
    """One file of samples against others, each a policy of its own.

    Raises:
        DataError: a file that is missing, empty or holds no samples, or other problems than the base's.
    """
    texts = _texts(problems) if problems is not None else {}
    pair = _pair("samples", base, {str(other): [other] for other in others}, texts, choice)
    if problems is not None and (missing := [name for name in pair.ids if name not in texts]):
        raise DataError(f"{problems}: no problem {missing[0]!r} ({len(missing)} of {len(pair.ids)} are missing)")
    return Found((pair,))


def _finished(run: RunDir, arm: str, stage: Stage, name: str, left_out: list[str]) -> list[Path]:
    """The sample files of all seeds that are finished; notes the others."""
    folders = {seed: run.stage(arm, seed, stage).evaluation(name) for seed in run.config.seeds}
    left_out += [f"{arm} {stage} seed {seed} on {name}" for seed, folder in folders.items() if not is_done(folder.path)]
    return [folder.samples for folder in folders.values() if is_done(folder.path)]


def _problems_of(run: RunDir) -> tuple[dict[str, str], list[str]]:
    """Texts by id, and the names of the sets that the run evaluates on."""
    rows = list(iter_jsonl(run.problems))
    evaluated = {*run.config.data.evaluate, *(["hard_train"] if run.config.evaluate.train_problems else [])}
    there = [name for name in dict.fromkeys(str(row["set"]) for row in rows) if name in evaluated]
    if not there:
        raise RunError(f"{run.path} has no problems yet; run it first, or give --base and --other")
    return {str(row["id"]): str(row["text"]) for row in rows}, there


def _known(what: str, asked: Sequence[str], there: list[str]) -> list[str]:
    """The names asked for, in the run's order; all where none is."""
    for name in asked:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(there)}"
            raise RunError(f"the run has no {what} {name[:80]!r}: {hint}")
    return [name for name in there if not asked or name in asked]


def _texts(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; a run's problems.jsonl will do, or rows of id and text")
    texts: dict[str, str] = {}
    for number, row in enumerate(iter_jsonl(path), 1):
        text = row.get("text", row.get("problem"))
        if not isinstance(row.get("id"), str | int) or not isinstance(text, str):
            raise DataError(f"{path}, line {number}: expected the columns id and text (or problem)")
        texts[str(row["id"])] = text
    return texts


def _pair(
    name: str, base: Path, others: Mapping[str, Sequence[Path]], texts: Mapping[str, str], choice: Choice
) -> Pair:
    by_problem = _read(base)
    ids = list(by_problem)
    read = {label: [_read(path) for path in paths] for label, paths in others.items()}
    for label, seeds in read.items():
        for path, found in zip(others[label], seeds, strict=True):
            _require_same(base, by_problem, path, found)
    if choice.limit is not None and choice.limit < len(ids):
        drawn = set(random.Random(choice.seed).sample(sorted(ids), choice.limit))
        ids = [one for one in ids if one in drawn]

    def group(label: str, seeds: Sequence[dict[str, list[_Sample]]], files: Sequence[Path]) -> Group:
        return Group(
            label,
            tuple(_traces(found, ids, texts, str(file), choice) for found, file in zip(seeds, files, strict=True)),
        )

    return Pair(
        name, tuple(ids), group("base", [by_problem], [base]),
        tuple(group(label, seeds, others[label]) for label, seeds in read.items()),
    )  # fmt: skip


class _Sample(NamedTuple):
    number: int
    id: str
    text: str


def _read(path: Path) -> dict[str, list[_Sample]]:
    """The samples of a file by problem, in the order of their numbers."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; `exprl sample` writes one")
    found: dict[str, list[_Sample]] = {}
    for line, row in enumerate(iter_jsonl(path), 1):
        values = [row.get(column) for column in ("id", "question_id", "text")]
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{path}, line {line}: no sample: it needs the texts id, question_id and text")
        number = row.get("sample")
        name, question, text = map(str, values)
        found.setdefault(question, []).append(_Sample(number if isinstance(number, int) else line, name, text))
    if not found:
        raise DataError(f"{path}: no samples; draw some with `exprl sample`")
    return {question: sorted(samples, key=lambda sample: sample.number) for question, samples in found.items()}


def _require_same(base: Path, one: Mapping[str, object], path: Path, other: Mapping[str, object]) -> None:
    differing = sorted(one.keys() ^ other.keys())
    if differing:
        holder = base if differing[0] in one else path
        raise DataError(
            f"{base} and {path} are samples of different problems: {differing[0]!r} is only in {holder} "
            f"({len(differing)} differ); sample both policies on the same set"
        )


def _traces(
    found: Mapping[str, Sequence[_Sample]], ids: Sequence[str], texts: Mapping[str, str], source: str, choice: Choice
) -> tuple[Trace, ...]:
    return tuple(
        Trace(source, sample.id, question, texts.get(question, ""), sample.text)
        for question in ids
        for sample in found[question][: choice.samples]
    )
