"""What every piece of the pipeline needs, built once in the process that does the work.

The policy's name becomes a path (an embedded world's is primed or taken from its cache), problem sources become problems,
and the judge, the verifier and the sampler are built from the configuration. Heavy packages are imported only here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from exprl.config import (
    MethodConfig,
    OutcomeConfig,
    PolicyConfig,
    ProcessConfig,
    RunConfig,
    SourceConfig,
    VerifierConfig,
)
from exprl.data import find_overlap, load_problems, refuse_overlap, require_references
from exprl.errors import ConfigError, DataError, EngineError
from exprl.evaluate.sample import HTTPSampler, LocalSampler, Sampler
from exprl.judge import build_judge
from exprl.methods import needs_judge, needs_references
from exprl.pipeline.card import check_card
from exprl.runs import RunDir, read_jsonl
from exprl.types import Problem
from exprl.verify import Verifier, bears, build_verifier, route
from exprl.worlds import is_world, world_policy, world_seed

__all__ = [
    "TRAIN_SET",
    "check_inputs",
    "check_policy",
    "check_sandbox",
    "kept_sets",
    "load_sets",
    "named_set",
    "open_sampler",
    "open_verifier",
    "policy_path",
    "refuse_overlaps",
    "stage_method",
]

TRAIN_SET = "hard_train"


def policy_path(model: str) -> str:
    """A world's name becomes the path of its primed policy; a Hub id or a path is itself."""
    return str(world_policy(model)) if is_world(model) else model


def check_inputs(config: RunConfig, arms: Sequence[str] = ()) -> None:
    """Refuse what cannot be run, before a run directory is made or anything is spent; of the arms those named, or all.

    Raises:
        DataError: problems that cannot be used. OverlapError: evaluation problems among them.
        CheckpointError, ConfigError: a policy that is not there.
        JudgeError: a judge that cannot be built, or whose card `judge_card` finds wanting.
    """
    check_policy(config.policy)
    if config.engine == "verl":
        from exprl.pipeline.cluster import refuse_unrunnable  # which needs this module

        refuse_unrunnable(config, arms)
    if any(needs_judge(config.arms[arm]) for arm in arms or config.arms):
        build_judge(config.judge)
        check_card(config)
    sets = load_sets(config)
    refuse_overlaps(config, sets)
    check_sandbox(config, sets)


def check_sandbox(config: RunConfig, sets: dict[str, list[Problem]]) -> None:
    """Where programs are to be run, refuse a machine that cannot hold them.

    Raises:
        SandboxError: a layer of isolation is missing, and what to do about it.
    """
    domains = config.verifier.domains
    if any(route(problem, domains).way == "tests" for problems in sets.values() for problem in problems):
        from exprl.verify.sandbox import open_sandbox

        open_sandbox(profile=config.verifier.sandbox).close()


def open_verifier(config: RunConfig, *, store: Path | None = None, dense: bool = False) -> Verifier:
    """The verifier of a configuration; see `exprl.verify.build_verifier`."""
    return build_verifier(config.verifier, judge=config.judge, store=store, dense=dense)


def check_policy(policy: PolicyConfig) -> None:
    """Refuse a policy that is no checkpoint and no world; a Hub id and a server are taken at their word.

    Raises:
        CheckpointError: a folder that is not a checkpoint.
        ConfigError: no such world.
    """
    from exprl.engines.trl.checkpoint import check_policy_path

    if is_world(policy.model):
        world_seed(policy.model)
    elif policy.url is None:
        check_policy_path(policy.model)


def load_sets(config: RunConfig, leave_out: Container[str] = ()) -> dict[str, list[Problem]]:
    """The candidate training problems, as `hard_train`, and every evaluation set, checked for what the run needs.

    Args:
        leave_out: names of sets that are not loaded.
    Raises:
        DataError: data that is not there (names the key), or a problem lacks the reference solution that Stage I needs
            or what grading needs.
        ConfigError: a set is empty.
    """
    sources = {"data.train": (TRAIN_SET, config.data.train)}
    sources |= {f"data.evaluate.{name}": (name, source) for name, source in config.data.evaluate.items()}
    sets = {name: _load(key, source) for key, (name, source) in sources.items() if name not in leave_out}
    require_references([problem for problem in sets.get(TRAIN_SET, []) if _wants_reference(problem, config)])
    for name, problems in sets.items():
        if not problems:
            raise ConfigError(f"{name}: no problems; check data path, offset and limit")
        _refuse_ungradable(name, problems, config.verifier)
    return sets


def _wants_reference(problem: Problem, config: RunConfig) -> bool:
    """Whether some arm needs the reference solution of this training problem; a program that is run needs none."""
    run = route(problem, config.verifier.domains).way == "tests"

    def wants(arm: MethodConfig) -> bool:
        is_run = run and isinstance(arm, OutcomeConfig | ProcessConfig) and arm.execution != "never"
        return needs_references(arm) and not is_run

    return any(wants(arm) for arm in config.arms.values())


def _refuse_ungradable(name: str, problems: list[Problem], verifier: VerifierConfig) -> None:
    faults: dict[str, list[str]] = {}
    for problem in problems:
        way, why = route(problem, verifier.domains)
        if (lacks := bears(problem, way)) is not None:
            faults.setdefault(f"{why}, and lack {lacks}", []).append(problem.id)
        elif way in ("judge", "blind") and not verifier.judge:
            faults.setdefault(f"{why}: only a judge can grade them", []).append(problem.id)
    for fault, ids in faults.items():
        shown = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        raise DataError(
            f"grading {name}: {len(ids)} of {len(problems)} problems cannot be graded ({fault}): {shown}; name the column "
            'that holds it ([...columns] answer = "..." or tests = "..."), take them out, or let the judge grade them '
            "with verifier.judge = true"
        )


def _load(key: str, source: SourceConfig) -> list[Problem]:
    try:
        return load_problems(source)
    except DataError as error:
        if source.path.startswith("world:") or Path(source.path).exists():
            raise
        raise DataError(f"{error} (set {key}.path)") from error


def kept_sets(run: RunDir, loaded: dict[str, list[Problem]] | None = None) -> dict[str, list[Problem]]:
    """The sets after the filter, as the run's problems.jsonl records them.

    Args:
        loaded: `load_sets` of the run, where they are at hand.
    """
    kept = {(str(row["set"]), str(row["id"])) for row in read_jsonl(run.problems)}
    sets = load_sets(run.config) if loaded is None else loaded
    return {name: [p for p in problems if (name, p.id) in kept] for name, problems in sets.items()}


def stage_method(config: RunConfig, arm: str, stage: Literal["stage1", "stage2"]) -> MethodConfig:
    """The settings of a stage: the arm's in Stage I, the sparse ones in Stage II.

    Raises:
        ConfigError: Stage II of a run that has none.
    """
    if stage == "stage1":
        return config.arms[arm]
    if config.stage2 is None:
        raise ConfigError("a Stage-II job in a run without Stage II")
    return config.stage2


def named_set(config: RunConfig, name: str) -> list[Problem]:
    """One of `load_sets`.

    Raises:
        ConfigError: no set of that name.
    """
    sets = load_sets(config)
    if name not in sets:
        raise ConfigError(f"no set {name!r}; there are {', '.join(sets)}")
    return sets[name]


def refuse_overlaps(config: RunConfig, sets: dict[str, list[Problem]]) -> list[str]:
    """Refuse training problems that are evaluation problems; return a warning for each set with n-gram overlap.

    Raises:
        OverlapError: naming the ids.
    """
    warnings = []
    for name, problems in sets.items():
        if name == TRAIN_SET:
            continue
        overlap = find_overlap(sets[TRAIN_SET], problems, ngram=config.data.overlap_ngram)
        refuse_overlap(overlap, name)
        if overlap.ngrams:
            warnings.append(
                f"{name}: {len(overlap.ngrams)} pairs share {config.data.overlap_ngram} words in a row with training "
                "problems; `exprl overlap` lists them"
            )
    return warnings


@contextmanager
def open_sampler(config: RunConfig, policy: str, *, base: bool) -> Iterator[Sampler]:
    """A sampler of a policy; the base policy may be behind a URL, a trained one is a local checkpoint.

    Raises:
        EngineError: the `train` extra is not installed.
        CheckpointError: the path is not a checkpoint.
    """
    if base and config.policy.url is not None:
        yield HTTPSampler(config.policy.url, config.policy.model, config.prompt)
        return
    yield _local_sampler(config, policy)


def _local_sampler(config: RunConfig, policy: str) -> LocalSampler:
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise EngineError(f"a local policy needs the train extra: pip install 'exprl[train]' ({error})") from error
    from exprl.engines.trl.checkpoint import check_policy_path, load_tokenizer, loading
    from exprl.engines.trl.surroundings import pick_device, quiet

    check_policy_path(policy)
    torch.set_num_threads(config.policy.threads)
    device = pick_device(config.policy)
    # On a CPU bf16 is emulated or slow for tiny models; sampling follows the configured type on an accelerator only.
    dtype = torch.bfloat16 if config.policy.dtype == "bfloat16" and device != "cpu" else torch.float32
    with quiet(), loading(policy):
        model = AutoModelForCausalLM.from_pretrained(policy, dtype=dtype, use_safetensors=True)
    return LocalSampler(
        model.to(device).eval(),
        load_tokenizer(policy),
        config.prompt,
        batch=config.policy.sample_batch,
        device=device,
        chat=config.policy.chat,
    )
