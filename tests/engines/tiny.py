"""A policy of a few thousand parameters, problems, a judge and a verifier that answer at once, and a trainer that remembers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from exprl.config import MethodConfig, OutcomeConfig, PolicyConfig, ProcessConfig, PromptConfig, SegmentConfig
from exprl.engines.trl import trainer as trainer_module
from exprl.engines.trl.train import Stage, train_stage
from exprl.methods import build_method
from exprl.runs import read_jsonl
from exprl.types import Problem, Reference, Submission, Verdict
from exprl.worlds.tokenizer import PIECES, make_tokenizer

BARE = PromptConfig(system=None)
TOKENS = 10


def save_policy(folder: Path, seed: int = 0) -> Path:
    """A random Llama over the chain world's tokens; some of its answers end early, some are truncated."""
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(PIECES),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=False,
            initializer_range=0.3,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with torch.no_grad():
        # A direction that every token has in common, and that the end of an answer likes.
        model.model.embed_tokens.weight += 3.0
        model.lm_head.weight[tokenizer.eos_token_id] = 0.27
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def some_problems(count: int) -> list[Problem]:
    texts = [f"{1111 + i} then rev{' then +1' * (i % 3)}?" for i in range(count)]
    return [Problem(f"p{i}", text, Reference(f"SECRET {i}", str(i))) for i, text in enumerate(texts)]


def verdict(score: float | None) -> Verdict:
    return Verdict(score) if score is not None else Verdict(None, unscored="the judge is broken")


def hashed(submission: Submission, cut: int) -> float:
    """A score of 0, .25, .5, .75 or 1 that depends on the text up to the cut and on nothing else."""
    return hashlib.sha256(submission.text[:cut].encode()).digest()[0] % 5 / 4


@dataclass
class FakeJudge:
    """Scores by `scores(submission)`, one score a cut; by default a hash of the text."""

    scores: Callable[[Submission], Sequence[float | None]] = lambda s: [hashed(s, cut) for cut in s.cuts]
    name: str = "fake"
    template_hash: str = "fake"

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [tuple(verdict(score) for score in self.scores(submission)) for submission in submissions]

    async def aclose(self) -> None: ...


def broken_at(*steps: int) -> Callable[[Submission], Sequence[float | None]]:
    """The default scores, and none at these steps."""

    def scores(submission: Submission) -> Sequence[float | None]:
        broken = int(submission.rollout_id.split("-")[0]) in steps
        return [None if broken else hashed(submission, cut) for cut in submission.cuts]

    return scores


class FakeVerifier:
    """Calls a text right by a hash of it."""

    name = "fake"

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        return [Verdict(float(hashlib.sha256(text.encode()).digest()[1] % 4 == 0)) for _, text in pairs]

    def close(self) -> None: ...


def small(**changes: object) -> dict[str, object]:
    """Settings of a stage that takes a second."""
    return {
        "steps": 6,
        "prompts_per_step": 2,
        "rollouts_per_prompt": 4,
        "updates_per_step": 1,
        "learning_rate": 1e-2,
        "kl": 0.0,
        "temperature": 0.9,
        "max_tokens": TOKENS,
        "save_every": 3,
        **changes,
    }


def process(**changes: object) -> ProcessConfig:
    return ProcessConfig.model_validate(small(outcome_weight=1.0, **changes))


def outcome(**changes: object) -> OutcomeConfig:
    return OutcomeConfig.model_validate(small(**changes))


def train(
    base: Path,
    folder: Path,
    method: MethodConfig,
    *,
    judge: FakeJudge | None = None,
    problems: Sequence[Problem] | None = None,
    policy: PolicyConfig | None = None,
    limit: float = 0.2,
    on_step: Callable[[dict[str, object]], None] = lambda row: None,
) -> Path:
    """`train_stage` with the fakes."""
    stage = Stage(str(base), method, problems or some_problems(5), folder, seed=3, unscored_limit=limit)
    policy = policy or PolicyConfig(model=str(base), dtype="float32", device="cpu")
    segments = SegmentConfig(rule="tokens", token_budget=3)
    credit = build_method(method, judge or FakeJudge(), segments)
    return train_stage(stage, credit, FakeVerifier(), policy, BARE, on_step=on_step)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the very same numbers."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def records(folder: Path) -> tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]:
    """Metrics without the clock, rollouts and verdicts of a stage."""
    metrics = [{k: v for k, v in row.items() if k != "seconds"} for row in read_jsonl(folder / "metrics.jsonl")]
    return metrics, read_jsonl(folder / "rollouts.jsonl"), read_jsonl(folder / "verdicts.jsonl")


Batch = dict[str, torch.Tensor]


@dataclass
class Update:
    """One optimiser update as it happened: micro-batches, weights before it, and its gradient."""

    batches: list[Batch]
    weights: dict[str, torch.Tensor]
    gradient: dict[str, torch.Tensor]


@dataclass
class Memory:
    """The updates of a training, in order."""

    updates: list[Update] = field(default_factory=list)


def remember_updates(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Make `train_stage` use a trainer that remembers its updates."""
    memory, open_batches = Memory(), list[Batch]()

    class Remember(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: object, model: torch.nn.Module, **__: object) -> None:
            memory.updates.append(
                Update(
                    open_batches.copy(),
                    {name: value.detach().clone() for name, value in model.named_parameters()},
                    {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None},
                )
            )
            open_batches.clear()

    class Remembering(trainer_module.SegmentGRPOTrainer):
        def __init__(self, **arguments: object) -> None:
            super().__init__(**arguments)  # type: ignore[arg-type]
            self.add_callback(Remember())

        def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
            open_batches.append({name: value.clone() for name, value in inputs.items()})
            return super()._compute_loss(model, inputs)

    monkeypatch.setattr(trainer_module, "SegmentGRPOTrainer", Remembering)
    return memory


@dataclass(frozen=True)
class Terms:
    """What the loss is made of, token by token, as (R, T) tensors."""

    logps: torch.Tensor
    entropy: torch.Tensor
    mask: torch.Tensor


def terms_by_hand(model: torch.nn.Module, batch: Batch, temperature: float) -> Terms:
    """Log-probability and entropy of every sampled token, from the logits, in the plainest way."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1].float() / temperature
    every = torch.log_softmax(logits, dim=-1)[:, -batch["completion_ids"].shape[1] :]
    logps = every.gather(-1, batch["completion_ids"][..., None])[..., 0]
    return Terms(logps, -(every.exp() * every).sum(dim=-1), batch["completion_mask"].float())


def loss_by_hand(
    model: torch.nn.Module,
    reference: torch.nn.Module | None,
    batches: Sequence[Batch],
    *,
    temperature: float,
    low: float,
    high: float,
    kl: float,
    entropy_bonus: float,
) -> torch.Tensor:
    """The loss of one update over all its micro-batches; rows without tokens are taken out before anything else."""
    total, tokens = torch.tensor(0.0), torch.tensor(0.0)
    for batch in batches:
        kept = batch["completion_mask"].any(dim=1)
        rows = {name: value[kept] for name, value in batch.items() if value.dim() > 0}
        if not kept.any():
            continue
        now = terms_by_hand(model, rows, temperature)
        old = rows["old_per_token_logps"] if "old_per_token_logps" in rows else now.logps.detach()
        ratio = torch.exp(now.logps - old)
        advantage = rows["advantages"]
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
        if reference is not None:
            with torch.no_grad():
                first = terms_by_hand(reference, rows, temperature).logps
            gain = gain - kl * (torch.exp(first - now.logps) - (first - now.logps) - 1)
        gain = gain + entropy_bonus * now.entropy
        total = total - (gain * now.mask).sum()
        tokens = tokens + now.mask.sum()
    return total / tokens.clamp(min=1)
