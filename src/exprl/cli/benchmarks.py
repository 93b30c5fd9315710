"""What `exprl eval --benchmarks` prints: lines, not tables, so that eighty columns are enough."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exprl.cli.options import console
from exprl.errors import ConfigError

if TYPE_CHECKING:
    from exprl.evaluate.benchmarks.result import Result
    from exprl.pipeline.benchmarks import Evaluation, OnRows, Plan, Work

__all__ = ["asked", "eval_benchmarks", "list_benchmarks", "refuse_mixture"]

Given = dict[str, str | int | float | Path]


def asked(**options: str | int | float | Path | None) -> Given:
    """The options that were given; the others have their defaults in `exprl.pipeline.benchmarks.Plan`."""
    return {name: value for name, value in options.items() if value is not None}


def refuse_mixture(
    target: str | None, benchmarks: str | None, overrides: Sequence[str], given: Iterable[str], policy: str | None
) -> str:
    """The target, once it is clear that what was given goes together.

    Raises:
        ConfigError: no target, or options of the one form with the other.
    """
    if target is None:
        raise ConfigError("name a configuration, or a model with --benchmarks aime26,gsm8k (--list shows them all)")
    if benchmarks is None and (options := [f"--{name.replace('_', '-')}" for name in given]):
        raise ConfigError(
            f"{', '.join(options)}: only with --benchmarks; a configuration has keys such as --evaluate.n"
        )
    if benchmarks is not None and overrides:
        raise ConfigError(
            f"{overrides[0]}: no option of `exprl eval MODEL --benchmarks`, and there is no configuration"
        )
    if benchmarks is not None and policy is not None:
        raise ConfigError(f"--policy {policy}: with --benchmarks the model is the first argument, here {target!r}")
    return target


def list_benchmarks(data: Path | None, *, as_json: bool) -> None:
    """Print every benchmark, its size, grader and licence, and whether its file is at hand."""
    from exprl.evaluate.benchmarks import benchmarks, data_folder, groups

    folder = data_folder(data)
    if as_json:
        shown = {name: entry.model_dump(mode="json") for name, entry in benchmarks().items()}
        print(json.dumps({"benchmarks": shown, "groups": groups()}))
        return
    for name, entry in benchmarks().items():
        here = folder is not None and entry.file is not None and (folder / entry.file.path).is_file()
        where = [str(entry.file.path)] if here and entry.file else []
        where += [f"Hub {entry.hub.path}{' (gated)' if entry.gated else ''}"] if entry.hub else []
        where = where or [f"needs the file {entry.file.path}" if entry.file else ""]
        print(f"{name}: {entry.title}")
        _print_indented(f"{entry.problems:,} problems, graded by {entry.verifier}, {entry.licence}")
        _print_indented("; ".join(where))
        if entry.notes:
            _print_indented(entry.notes)
    print("groups:")
    for name, members in groups().items():
        _print_indented(f"{name} = {','.join(members)}")
    print("All are for evaluation only.")


def eval_benchmarks(
    model: str,
    names: str,
    given: Given,
    *,
    ks: tuple[int, ...],
    out: Path | None,
    export: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure a model and print it.

    Raises:
        VerifierError: after the others were measured, the first benchmark's that could not be.
    """
    from exprl.evaluate.benchmarks import find_benchmarks
    from exprl.pipeline.benchmarks import Plan, evaluate_benchmarks, load_work

    plan = Plan(model=model, ks=ks, **given)  # type: ignore[arg-type]
    chosen = find_benchmarks(names)
    folder = out or Path("runs") / f"eval-{_slug(model)}"
    if dry_run:
        _print_plan(load_work(chosen, plan), plan, folder, as_json=as_json)
        return
    evaluation = evaluate_benchmarks(chosen, plan, folder, on_rows=_progress())
    written = _export(export, evaluation, plan, folder)
    if as_json:
        print(json.dumps(_as_json(evaluation, plan, folder)))
    else:
        _print(evaluation, plan, folder, written)
    for error in evaluation.skipped.values():
        raise error


def _as_json(evaluation: Evaluation, plan: Plan, folder: Path) -> Mapping[str, object]:
    return {
        "model": plan.model,
        "n": plan.n,
        "temperature": plan.temperature,
        "max_tokens": plan.max_tokens,
        "limit": plan.limit,
        "seed": plan.seed,
        "out": str(folder),
        "benchmarks": {name: result.summary() for name, result in evaluation.results.items()},
        "skipped": {name: str(error) for name, error in evaluation.skipped.items()},
    }


def _print(evaluation: Evaluation, plan: Plan, folder: Path, written: Sequence[Path]) -> None:
    print(f"{plan.model}, {plan.n} samples a problem, temperature {plan.temperature:g}")
    for result in evaluation.results.values():
        _print_result(result)
    for name, error in evaluation.skipped.items():
        print(f"{name}: not measured")
        _print_indented(str(error).splitlines()[0])
    print(f"samples: {folder}")
    for path in written:
        print(f"exported: {path}")
    print("se: over problems; whether they were trained on is not checked: exprl overlap")


def _print_result(result: Result) -> None:
    tally = result.tally
    print(f"{result.name}: {result.problems:,} problems, {result.coverage.level:.0%} intervals")
    for k, interval, error in zip(result.coverage.ks, result.coverage.intervals, result.errors, strict=True):
        if interval.value != interval.value:
            print(f"  pass@{k:<5} unscored")
            continue
        se = "" if error.problems != error.problems else f"  se {error.problems:.3f}"
        print(f"  pass@{k:<5} {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]{se}")
    for k, excluded in zip(result.coverage.ks, result.coverage.excluded, strict=True):
        if excluded:
            print(f"  pass@{k}: {excluded} problems left out, with fewer than {k} scored samples")
    print(f"  of {tally.samples:,} samples {tally.unscored:,} unscored, {tally.truncated:,} truncated")
    if result.advice is not None:
        _print_indented(result.advice.text)


def _print_plan(works: Sequence[Work], plan: Plan, folder: Path, *, as_json: bool) -> None:
    from exprl.pipeline.benchmarks import present

    rows = {
        work.benchmark.name: {
            "origin": work.origin,
            "problems": len(work.problems),
            "samples": len(work.problems) * plan.n,
            "there": present(work, plan, folder),
            "tokens": len(work.problems) * plan.n * plan.max_tokens,
        }
        for work in works
    }
    if as_json:
        print(json.dumps({"model": plan.model, "out": str(folder), "benchmarks": rows}))
        return
    print(f"{plan.model}: {plan.n} samples a problem, into {folder}")
    for name, row in rows.items():
        print(f"{name}: {row['problems']:,} problems from {row['origin']}")
        print(f"  {row['samples']:,} samples, {row['there']:,} there; {row['tokens']:,} tokens at most")


def _export(kinds: Sequence[str], evaluation: Evaluation, plan: Plan, folder: Path) -> list[Path]:
    from exprl.evaluate.export import EXPORTS, Samples

    written: list[Path] = []
    for name, result in evaluation.results.items():
        work = evaluation.works[name]
        samples = Samples(
            name=name,
            origin=work.origin,
            folder=folder / name,
            model=plan.model,
            questions=[problem.question for problem in work.problems],
            prompt=plan.prompt(work.benchmark),
            n=plan.n,
            temperature=plan.temperature,
            max_tokens=plan.max_tokens,
            seed=plan.seed,
            metrics=result.summary(),
        )
        written += [EXPORTS[kind](samples) for kind in dict.fromkeys(kinds)]
    return written


def _progress() -> OnRows:
    """A line of progress on a terminal; nothing elsewhere."""
    live = sys.stderr.isatty()

    def show(name: str, there: int, total: int) -> None:
        if live:
            end = "\n" if there >= total else ""
            print(f"\r{name}: {there:,} of {total:,} samples", end=end, file=sys.stderr, flush=True)

    return show


def _print_indented(text: str) -> None:
    width = max(40, min(console().width, 100))
    print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def _slug(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
