"""`exprl eval MODEL --benchmarks ...`: samples of a model on benchmarks, graded, counted, and resumable.

All that can be refused is refused before anything is sampled: problems that cannot be had, samples there that were drawn
with other settings, a server that is not there. Then benchmark by benchmark: draw what is missing, grade it, append it,
and count from the file. A killed call, called again, goes on; with a larger n or limit it only draws what is new.

A benchmark whose verifier cannot work here (code without a sandbox) is skipped before it spends anything; the others are
measured, and what was skipped, and why, is in the result.

    >>> plan = Plan(model="Qwen/Qwen3-4B-Instruct-2507", n=128)
    >>> evaluate_benchmarks(find_benchmarks("aime26"), plan, Path("runs/eval"))  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from exprl.config import PolicyConfig, PromptConfig, RunConfig
from exprl.errors import ConfigError, CoverageError, EngineError, VerifierError
from exprl.evaluate.benchmarks import Benchmark, Loaded, data_folder, draw, load_benchmark
from exprl.evaluate.benchmarks.record import Record, check_record, problem_hashes, write_record
from exprl.evaluate.benchmarks.result import Result, count_samples, measure
from exprl.evaluate.benchmarks.verifying import open_verifier
from exprl.evaluate.coverage import default_ks
from exprl.evaluate.sample import HTTPSampler, Sampler, count_correct, derive_seed
from exprl.evaluate.sample.http import UNTOUCHED_SOFTMAX
from exprl.pipeline.context import check_policy, open_sampler, policy_path
from exprl.runs import RunLock, iter_jsonl, write_json
from exprl.types import Problem
from exprl.verify import Verifier

__all__ = ["Evaluation", "Plan", "Work", "evaluate_benchmarks", "load_work", "present"]

OnRows = Callable[[str, int, int], None]

_WORKERS = max(1, min(8, (os.cpu_count() or 2) // 2))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `limit` problems of each benchmark; `system` and `user` replace the benchmarks' own prompts.

    `standard_keys` sends a server nothing that OpenAI's protocol lacks: its own top-k and min-p then apply.
    """

    model: str
    url: str | None = None
    n: int = 128
    temperature: float = 0.8
    max_tokens: int = 16_384
    limit: int | None = None
    seed: int = 0
    system: str | None = None
    user: str | None = None
    data: Path | None = None
    concurrency: int = 64
    standard_keys: bool = False
    ks: tuple[int, ...] = ()

    def prompt(self, benchmark: Benchmark) -> PromptConfig:
        """How the benchmark's questions are put.

        Raises:
            ConfigError: a prompt given that cannot be one.
        """
        given = {"system": self.system, "user": self.user}
        changed = {key: value for key, value in given.items() if value is not None}
        try:
            return PromptConfig.model_validate(benchmark.prompt.model_dump() | changed)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"--{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None

    def record(self, benchmark: Benchmark) -> Record:
        """What two samples must have in common to be counted together."""
        prompt = self.prompt(benchmark)
        return {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "system": prompt.system,
            "user": prompt.user,
            "verifier": benchmark.verifier,
            "standard_keys": self.standard_keys,
        }


@dataclass(frozen=True, slots=True)
class Work:
    """One benchmark with the problems of it that are asked for."""

    benchmark: Benchmark
    origin: str
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was to be done, the results by benchmark, and why others have none."""

    works: dict[str, Work]
    results: dict[str, Result] = field(default_factory=dict)
    skipped: dict[str, VerifierError] = field(default_factory=dict)


def load_work(chosen: Sequence[Benchmark], plan: Plan) -> list[Work]:
    """Load what a plan asks for.

    Raises:
        DataError: a benchmark that cannot be had. CoverageError: a k larger than n. ConfigError: see `Plan.prompt`.
    """
    if (most := max(plan.ks, default=0)) > plan.n:
        raise CoverageError(f"pass@{most} needs at least {most} samples a problem, and --n is {plan.n}; raise --n")
    for benchmark in chosen:
        plan.prompt(benchmark)
    data = data_folder(plan.data)
    loaded: list[tuple[Benchmark, Loaded]] = [(benchmark, load_benchmark(benchmark, data)) for benchmark in chosen]
    return [Work(benchmark, found.origin, draw(found.problems, plan.limit)) for benchmark, found in loaded]


def evaluate_benchmarks(
    chosen: Sequence[Benchmark], plan: Plan, out: Path, *, on_rows: OnRows | None = None
) -> Evaluation:
    """Measure a model on benchmarks.

    Args:
        out: a folder a benchmark, with samples.jsonl, settings.json and summary.json.
        on_rows: called with the benchmark, samples there, and samples in all, for progress.
    Raises:
        DataError, CoverageError: see `load_work`. RunError: samples there that were drawn otherwise.
        CheckpointError, EngineError: no such model, or no such server.
    """
    works = load_work(chosen, plan)
    for work in works:
        check_record(out / work.benchmark.name, plan.record(work.benchmark), problem_hashes(work.problems))
    _check_model(plan)
    out.mkdir(parents=True, exist_ok=True)
    evaluation = Evaluation({work.benchmark.name: work for work in works})
    with RunLock(out):
        for work in works:
            try:
                verifier = open_verifier(work.benchmark.verifier, workers=_WORKERS)
            except VerifierError as error:
                evaluation.skipped[work.benchmark.name] = error
                continue
            with closing(verifier):
                evaluation.results[work.benchmark.name] = _evaluate(work, plan, out, verifier, on_rows)
    return evaluation


def present(work: Work, plan: Plan, out: Path) -> int:
    """How many of the samples asked for are there already."""
    ids = {problem.id for problem in work.problems}
    rows = iter_jsonl(out / work.benchmark.name / "samples.jsonl")
    return sum(row["question_id"] in ids and int(str(row["sample"])) < plan.n for row in rows)


def _evaluate(work: Work, plan: Plan, out: Path, verifier: Verifier, on_rows: OnRows | None) -> Result:
    benchmark, folder = work.benchmark, out / work.benchmark.name
    write_record(folder, plan.record(benchmark), problem_hashes(work.problems))
    there, total = present(work, plan, out), len(work.problems) * plan.n

    def progress(count: int) -> None:
        nonlocal there
        there += count
        if on_rows is not None:
            on_rows(benchmark.name, there, total)

    progress(0)
    if there < total:
        with _sampler(plan, plan.prompt(benchmark)) as sampler:
            count_correct(
                folder / "samples.jsonl",
                work.problems,
                sampler,
                verifier,
                n=plan.n,
                temperature=plan.temperature,
                max_tokens=plan.max_tokens,
                seed=derive_seed(plan.seed, ["benchmark", benchmark.name]),
                batch=_batch(plan, benchmark),
                on_rows=progress,
            )
    tally = count_samples(folder / "samples.jsonl", work.problems, plan.n)
    covered, errors = measure(tally, plan.ks or default_ks(plan.n))
    result = Result(
        benchmark.name,
        benchmark.title,
        work.origin,
        benchmark.verifier,
        len(work.problems),
        plan.n,
        tally,
        covered,
        errors,
    )
    write_json(folder / "summary.json", result.summary())
    return result


def _batch(plan: Plan, benchmark: Benchmark) -> int:
    """Rows graded and written at once: one by one from a server, but programs run together in the sandbox."""
    if plan.url is None:
        return 256
    return 16 if benchmark.verifier == "code" else 1


@contextmanager
def _sampler(plan: Plan, prompt: PromptConfig) -> Iterator[Sampler]:
    if plan.url is not None:
        extra: dict[str, str | float] = {} if plan.standard_keys else dict(UNTOUCHED_SOFTMAX)
        yield HTTPSampler(plan.url, plan.model, prompt, concurrency=plan.concurrency, extra=extra)
        return
    # What is sampled from is all of a configuration that a sampler looks at.
    config = RunConfig.model_validate(
        {"name": "eval", "data": {"train": {"path": "none"}}, "policy": _policy(plan), "prompt": prompt}
    )
    with open_sampler(config, policy_path(plan.model), base=False) as sampler:
        yield sampler


def _policy(plan: Plan) -> PolicyConfig:
    return PolicyConfig(model=plan.model, url=plan.url)


def _check_model(plan: Plan) -> None:
    check_policy(_policy(plan))
    if plan.url is not None:
        asyncio.run(_check_server(plan.url))


async def _check_server(url: str) -> None:
    """Any answer will do: some servers list no models, and a wrong name is refused with the first sample."""
    where = url.rstrip("/") + "/models"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session, session.get(where):
            return
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise EngineError(
            f"no server answers at {where} ({type(error).__name__}: {error}); start it, or mend --url (up to and "
            "including /v1)"
        ) from error
