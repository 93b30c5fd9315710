"""A plausible run directory, made of seeded random numbers: base, two ExpRL arms, a sparse one.

The numbers are invented; the layout is the one a run writes. `python fake_run.py FOLDER` writes a full-sized one to
look at.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from exprl.config import RunConfig

ARMS = {"sparse": "sparse", "outcome": "outcome", "process": "process"}
SETS = ("hard_held_out", "hard_train")
# Share of problems within reach, and chance of one try at such a problem, after each stage.
SKILL = {
    ("sparse", "stage1"): (0.0, 0.0),
    ("sparse", "stage2"): (0.06, 0.05),
    ("outcome", "stage1"): (0.72, 0.09),
    ("outcome", "stage2"): (0.8, 0.55),
    ("process", "stage1"): (0.8, 0.12),
    ("process", "stage2"): (0.86, 0.62),
}


@dataclass(frozen=True)
class Size:
    """How large the fake is."""

    problems: int = 8
    samples: int = 16
    steps: tuple[int, int] = (12, 10)
    prompts_per_step: int = 2
    group: int = 4
    seeds: tuple[int, ...] = (0, 1)


FULL = Size(problems=32, samples=64, steps=(120, 60), prompts_per_step=4, group=6)


def write_fake_run(folder: Path, size: Size = Size(), *, judge: str = "milestone") -> Path:
    """Write a whole run directory and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", config(folder.name, size, judge))
    environment = {"python": "3.11.9", "platform": "Linux x86_64", "packages": {"exprl": "0.1.0", "torch": "2.13.0"}}
    _write_json(folder / "environment.json", environment)
    names = {set_: [f"{set_}-{i:03d}" for i in range(size.problems)] for set_ in SETS}
    _write_rows(folder / "problems.jsonl", (_problem(name, set_) for set_ in SETS for name in names[set_]))
    _write_rows(folder / "filter.jsonl", _filter_rows(names["hard_train"], size))
    counts: dict[tuple[str, str, str], list[list[int]]] = {}
    for set_ in SETS:
        rights = [0] * size.problems
        counts["base", "stage1", set_] = [rights]
        _write_samples(folder / "base" / set_, _samples(names[set_], rights, size.samples, "base"))
    for arm in ARMS:
        for stage in ("stage1", "stage2"):
            for seed in size.seeds:
                _write_stage(
                    folder / "arms" / arm / f"seed-{seed}" / stage, arm, seed, stage, size, names, counts, judge
                )
    _write_json(folder / "summary.json", _summary(folder.name, size, counts))
    return folder


def config(name: str, size: Size, judge: str) -> dict[str, object]:
    judges: dict[str, dict[str, object]] = {
        "milestone": {"type": "milestone"},
        "llm": {"type": "llm", "model": "Qwen/Qwen3-4B", "url": "http://user:secret@127.0.0.1:8000/v1"},
    }
    shared = {"steps": size.steps[0], "prompts_per_step": size.prompts_per_step, "rollouts_per_prompt": size.group}
    arms: dict[str, dict[str, object]] = {
        arm: {"type": kind, "learning_rate": 2e-4, **shared} for arm, kind in ARMS.items()
    }
    arms["process"] |= {"credit": "group_norm", "outcome_weight": 0.5}
    values = {
        "name": name,
        "output": "runs",
        "seeds": list(size.seeds),
        "policy": {"model": "world:chain"},
        "data": {
            "train": {"path": "world:chain/hard_train"},
            "evaluate": {"hard_held_out": {"path": "world:chain/hard"}},
        },
        "judge": judges[judge],
        "arms": arms,
        "stage2": {"type": "sparse", "learning_rate": 1e-4, **shared, "steps": size.steps[1]},
        "evaluate": {"n": size.samples, "level": 0.95},
    }
    return RunConfig.model_validate(values).model_dump(mode="json")


def _problem(name: str, set_: str) -> dict[str, object]:
    draw = random.Random(name)
    numbers = [draw.randint(12, 97) for _ in range(6)]
    text = f"Start with {numbers[0]}. " + " ".join(f"Then add {n} and halve if even." for n in numbers[1:])
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"id": name, "text": text, "domain": "math", "set": set_, "reference_digest": digest}


def _filter_rows(kept: list[str], size: Size) -> Iterable[dict[str, object]]:
    row = {"set": "hard_train", "n": size.samples, "unscored": 0}
    for name in kept:
        yield {"id": name, **row, "correct": 0, "kept": True, "why": None}
    yield {"id": "easy-000", **row, "correct": 3, "kept": False, "why": "solved at least once"}
    yield {"id": "odd-000", **row, "correct": 0, "kept": False, "why": "reference's answer does not grade as stored"}


def _samples(names: list[str], rights: list[int], n: int, who: str) -> Iterable[dict[str, object]]:
    for name, right in zip(names, rights, strict=True):
        for i in range(n):
            row = {"id": f"{who}-{name}-{i}", "question_id": name, "sample": i, "text": "...", "tokens": 90}
            yield {**row, "truncated": i == n - 1 and right == 0, "correct": float(i < right)}


def _write_stage(
    folder: Path,
    arm: str,
    seed: int,
    stage: str,
    size: Size,
    names: Mapping[str, list[str]],
    counts: dict[tuple[str, str, str], list[list[int]]],
    judge: str,
) -> None:
    draw = random.Random(f"{arm}/{seed}/{stage}")
    reach, chance = SKILL[arm, stage]
    for set_ in SETS:
        near = [draw.random() < reach for _ in names[set_]]
        rights = [sum(draw.random() < chance for _ in range(size.samples)) if ok else 0 for ok in near]
        counts.setdefault((arm, stage, set_), []).append(rights)
        who = f"{arm}-{seed}-{stage}"
        _write_samples(folder / "eval" / set_, _samples(names[set_], rights, size.samples, who))
    judged = stage == "stage1" and arm != "sparse"
    rollouts, verdicts, metrics = _train(draw, arm, seed, stage, size, names["hard_train"], judged, judge)
    _write_rows(folder / "rollouts.jsonl", rollouts)
    _write_rows(folder / "metrics.jsonl", metrics)
    if judged:
        _write_rows(folder / "verdicts.jsonl", verdicts)


Rows = list[dict[str, object]]


def _train(
    draw: random.Random, arm: str, seed: int, stage: str, size: Size, names: list[str], judged: bool, judge: str
) -> tuple[Rows, Rows, Rows]:
    rollouts: Rows = []
    verdicts: Rows = []
    metrics: Rows = []
    steps = size.steps[0] if stage == "stage1" else size.steps[1]
    won: set[str] = set()
    before = SKILL[arm, "stage1"] if stage == "stage2" else (0.0, 0.0)
    for step in range(1, steps + 1):
        growth = 1 / (1 + math.exp(-10 * (step / steps - 0.5)))
        chance = before[1] + (SKILL[arm, stage][1] - before[1]) * growth
        rewards: list[float] = []
        for prompt in range(size.prompts_per_step):
            name = names[(step * size.prompts_per_step + prompt) % len(names)]
            for i in range(size.group):
                key = f"{arm}-{seed}-{stage}-{step}-{prompt}-{i}"
                row, judged_rows, reward = _rollout(draw, key, name, step, chance, growth, judged, judge)
                rollouts.append(row)
                verdicts += judged_rows
                won |= {name} if row["correct"] == 1.0 else set()
                rewards.append(reward)
        metrics.append(_metric(draw, step, growth, rewards, len(won) / len(names), judged, stage, size))
    return rollouts, verdicts, metrics


def _metric(
    draw: random.Random,
    step: int,
    growth: float,
    rewards: list[float],
    won: float,
    judged: bool,
    stage: str,
    size: Size,
) -> dict[str, object]:
    count = size.prompts_per_step * size.group
    return {
        "step": step,
        "reward": sum(rewards) / len(rewards),
        "reward_std": 0.2,
        "correct": max(0.0, growth * 0.3 + draw.gauss(0, 0.02)) if sum(rewards) else 0.0,
        "unlocked": won,
        "entropy": 0.9 - 0.5 * growth + draw.gauss(0, 0.02),
        "tokens": 90 + 40 * growth + draw.gauss(0, 3),
        "truncated": max(0.0, 0.06 - 0.05 * growth + draw.gauss(0, 0.01)),
        "unscored": max(0.0, draw.gauss(0.01, 0.01)) if judged else 0.0,
        "zero_signal": 0.1 + 0.2 * growth if judged else 1 - 0.6 * growth * (max(rewards) > 0),
        "kl": 0.02 * growth + abs(draw.gauss(0, 0.001)) if stage == "stage1" else None,
        "loss": draw.gauss(0, 0.01),
        "grad_norm": 0.3,
        "seconds": 2.1,
        "segments": 5.0,
        "judge_calls": count * 5 if judged else 0,
        "judge_prompt_tokens": count * 5 * 400 if judged else 0,
        "judge_completion_tokens": count * 5 * 60 if judged else 0,
    }


def _rollout(
    draw: random.Random, key: str, name: str, step: int, chance: float, growth: float, judged: bool, judge: str
) -> tuple[dict[str, object], Rows, float]:
    parts = _parts(draw, growth)
    text, ends = "".join(parts), [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    right = draw.random() < chance
    last = min(4, max(0, round(4 * growth * draw.uniform(0.5, 1.1)) + right))
    scores: list[float | None] = [round(last * (i + 1) / len(parts)) / 4 for i in range(len(parts))]
    advantages: list[float | None] = [(b or 0) - (a or 0) for a, b in zip([scores[-1], *scores], scores, strict=False)]
    lost = judged and draw.random() < 0.02
    if lost:
        scores, advantages = [*scores[:-1], None], [None] * len(parts)
    if not judged:
        scores, advantages = [float(right)], [1.2 if right else -0.3 * (chance > 0)]
    elif key.startswith("outcome"):
        scores, advantages = scores[-1:], [None if lost else last / 4 - growth]
    if len(scores) == 1:
        ends = [0, len(text)]
    row: dict[str, object] = {"id": key, "question_id": name, "step": step, "text": text, "tokens": len(text) // 3}
    row |= {"truncated": draw.random() < 0.03, "correct": float(right), "scores": scores, "advantages": advantages}
    row["segments"] = [[a, b] for a, b in pairwise(ends)]
    rows = [_verdict(key, cut, score, judge) for cut, score in enumerate(scores)] if judged else []
    return row, rows, (scores[-1] or 0.0) if judged else float(right)


def _parts(draw: random.Random, growth: float) -> list[str]:
    value = draw.randint(10, 99)
    parts = []
    for step in range(draw.randint(3, 6)):
        add = draw.randint(12, 97)
        slip = draw.randint(1, 9) if draw.random() > 0.4 + 0.6 * growth else 0
        parts.append(f"Step {step + 1}: {value} + {add} = {value + add + slip}.\n")
        if slip and draw.random() < growth:
            parts[-1] += f"Check: {value + add + slip} - {add} = {value + slip}, not {value}. So {value + add}.\n"
        parts[-1] += "###\n"
        value += add
    return [*parts, f"The answer is \\boxed{{{value}}}.\n"]


def _verdict(rollout: str, cut: int, score: float | None, judge: str) -> dict[str, object]:
    likert = None if score is None else round(score * 4) + 1
    raw = "" if judge == "milestone" else f"The reference says 12 + 30 = 42; the text has it.\n<score>{likert}</score>"
    row = {
        "rollout_id": rollout,
        "cut": cut,
        "score": score,
        "unscored": "no score in the reply" if score is None else None,
    }
    usage = {"calls": 1, "prompt_tokens": 400, "completion_tokens": 60}
    return {**row, "likert": likert, "raw": raw, "judge": judge, "prompt_hash": "ab12", "usage": usage}


def _summary(name: str, size: Size, counts: Mapping[tuple[str, str, str], list[list[int]]]) -> dict[str, object]:
    arms: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]] = {}
    for (arm, stage, set_), seeds in counts.items():
        arms.setdefault(arm, {"stage1": {}, "stage2": {}})[stage][set_] = _coverage(seeds, size.samples)
    versions = {"exprl": "0.1.0"}
    gains = {arm: {set_: _gain(arms[arm], set_) for set_ in SETS} for arm in ARMS}
    summary: dict[str, object] = {"name": name, "seeds": list(size.seeds), "versions": versions, "arms": arms}
    return {**summary, "n": size.samples, "stage2_minus_stage1": gains}


def _gain(stages: Mapping[str, Mapping[str, dict[str, dict[str, float]]]], set_: str) -> dict[str, float]:
    value = stages["stage2"][set_]["pass@1"]["value"] - stages["stage1"][set_]["pass@1"]["value"]
    return {"value": value, "low": value - 0.04, "high": value + 0.04}


def _coverage(seeds: list[list[int]], n: int) -> dict[str, dict[str, float]]:
    draw, out = random.Random(0), {}
    k = 1
    while k <= n:
        each = [
            sum(1 - math.comb(n - s[p], k) / math.comb(n, k) for s in seeds) / len(seeds) for p in range(len(seeds[0]))
        ]
        means = sorted(sum(draw.choices(each, k=len(each))) / len(each) for _ in range(200))
        out[f"pass@{k}"] = {"value": sum(each) / len(each), "low": means[4], "high": means[194]}
        k *= 2
    return out


def _write_samples(folder: Path, rows: Iterable[Mapping[str, object]]) -> None:
    _write_rows(folder / "samples.jsonl", rows)
    _write_json(folder / "DONE.json", {})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write_fake_run(Path(sys.argv[1]), FULL, judge="llm")
