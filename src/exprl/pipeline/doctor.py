"""What a run needs of a machine, looked at before anything is spent: every finding says what to do about it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections import Counter
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from exprl.config import LLMJudgeConfig, RunConfig
from exprl.errors import ExprlError
from exprl.judge import build_judge
from exprl.types import Problem, Reference, Submission

__all__ = ["Finding", "examine"]

EXTRAS = {
    "train": ("torch", "transformers", "trl", "peft", "datasets", "safetensors"),
    "eval": ("math-verify", "jinja2"),
}
ROOM = 2e9
PROBE = Problem("doctor", "What is 2 + 3?", Reference("2 + 3 = 5", "5"))


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    ok: bool
    detail: str


def examine(config: RunConfig | None) -> list[Finding]:
    """Look at the machine and, where given, at what a configuration needs."""
    findings = [_python(), *(_extra(name, packages) for name, packages in EXTRAS.items()), _device(), _verifier()]
    data, ways = (None, Counter[str]()) if config is None else _data(config)
    findings.append(_sandbox(config, needed=ways["tests"] > 0))
    findings.append(_disk(Path(config.output if config else ".")))
    if config is not None:
        findings += [_policy(config), *([data] if data else []), _judge(config)]
    return findings


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), f"{found} (needs 3.11 or newer)")


def _extra(name: str, packages: tuple[str, ...]) -> Finding:
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    detail = ", ".join(found) if not missing else f"missing {', '.join(missing)}: pip install 'exprl[{name}]'"
    return Finding(f"extra {name}", not missing, detail)


def _device() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("device", False, "torch is not installed: pip install 'exprl[train]'")
    if torch.cuda.is_available():
        return Finding("device", True, f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return Finding("device", True, f"CPU only: tiny models and the demo; torch uses {torch.get_num_threads()} threads")


def _verifier() -> Finding:
    from exprl.config import VerifierConfig
    from exprl.verify import build_verifier

    try:
        with closing(build_verifier(VerifierConfig())) as verifier:
            right, wrong = verifier.verify([(PROBE, r"\boxed{\frac{10}{2}}"), (PROBE, r"\boxed{\frac{9}{2}}")])
    except ExprlError as error:
        return Finding("verifier", False, str(error))
    good = right.score == 1.0 and wrong.score == 0.0
    return Finding(
        "verifier", good, "tells 10/2 = 5 from 9/2" if good else f"said {right.score}, {wrong.score} of 10/2, 9/2"
    )


def _sandbox(config: RunConfig | None, *, needed: bool) -> Finding:
    """The jail for programs: needed only where problems have tests."""
    from exprl.errors import SandboxError
    from exprl.verify.sandbox import open_sandbox, probe_layers

    profile = "strict" if config is None else config.verifier.sandbox
    try:
        open_sandbox(profile=profile).close()
        missing = [layer.name for layer in probe_layers() if not layer.present]
    except SandboxError as error:
        return Finding("sandbox", not needed, f"{'' if needed else 'needed only for code: '}{error}")
    held = f"programs run without {', '.join(missing)}" if missing else "programs run in a jail of all layers"
    return Finding("sandbox", True, f"{held} (profile {profile})")


def _disk(path: Path) -> Finding:
    folder = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
    free = shutil.disk_usage(folder).free
    return Finding(
        "disk", free > ROOM, f"{free / 1e9:.1f} GB free for runs (checkpoints want {ROOM / 1e9:.0f} GB or more)"
    )


def _policy(config: RunConfig) -> Finding:
    from exprl.pipeline.context import check_policy
    from exprl.worlds import is_world

    model = config.policy.model
    try:
        check_policy(config.policy)
    except ExprlError as error:
        return Finding("policy", False, str(error))
    if is_world(model):
        return Finding("policy", True, f"{model}: embedded, primed on first use")
    return Finding("policy", True, model + ("" if Path(model).exists() else " (a Hub id; fetched on first use)"))


def _data(config: RunConfig) -> tuple[Finding, Counter[str]]:
    """The sets, and how many of their problems go to which verifier."""
    from exprl.pipeline.context import load_sets, refuse_overlaps
    from exprl.verify import route

    try:
        sets = load_sets(config)
        refuse_overlaps(config, sets)
    except ExprlError as error:
        return Finding("data", False, str(error)), Counter()
    ways = Counter(route(problem, config.verifier.domains).way for problems in sets.values() for problem in problems)
    sizes = ", ".join(f"{name} {len(problems)}" for name, problems in sets.items())
    graded = ", ".join(f"{way} {count}" for way, count in ways.most_common())
    return Finding("data", True, f"{sizes}; graded by {graded}"), Counter[str](ways)


def _judge(config: RunConfig) -> Finding:
    async def ask() -> Finding:
        judge = build_judge(config.judge)
        try:
            text = "2 + 3 = 5 \\boxed{5}"
            ((verdict,),) = await judge.score([Submission(PROBE, "doctor", text, (len(text),), "outcome")])
        finally:
            await judge.aclose()
        name = config.judge.model if isinstance(config.judge, LLMJudgeConfig) else config.judge.type
        if verdict.score is None:
            return Finding("judge", False, f"{name}: {verdict.unscored}")
        return Finding("judge", True, f"{name} gives a right trace {verdict.likert} of 5")

    try:
        return asyncio.run(ask())
    except ExprlError as error:
        return Finding("judge", False, str(error))
