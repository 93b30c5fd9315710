"""The loss that TRL computes for us is the formula in `exprl.engines.trl.trainer`: value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import (
    BARE,
    TOKENS,
    Batch,
    FakeJudge,
    loss_by_hand,
    outcome,
    process,
    remember_updates,
    save_policy,
    some_problems,
    terms_by_hand,
    train,
)
from transformers import LlamaForCausalLM

from exprl.config import Optimisation
from exprl.engines.trl.checkpoint import load_tokenizer
from exprl.engines.trl.prompts import prompts_of
from exprl.engines.trl.scoring import Scored
from exprl.engines.trl.settings import grpo_settings
from exprl.engines.trl.surroundings import quiet
from exprl.engines.trl.trainer import SegmentGRPOTrainer
from exprl.runs import read_jsonl
from exprl.types import Submission


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def no_scorer(*_: object) -> Scored:
    raise AssertionError("not asked here")


def make_trainer(base: Path, folder: Path, settings: Optimisation) -> Any:
    """A trainer as `train_stage` makes one."""
    tokenizer = load_tokenizer(str(base))
    with quiet():
        args = grpo_settings(settings, folder, seed=0, bf16=False, cpu=True)
        args.model_init_kwargs = {"dtype": "float32", "device_map": None}
        trainer: Any = SegmentGRPOTrainer(
            scorer=no_scorer,
            extra_state=dict,
            model=str(base),
            args=args,
            train_dataset=prompts_of(some_problems(4), settings, BARE, tokenizer, chat=None, seed=0),
            processing_class=tokenizer,
        )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
    return trainer


def random_batch(model: torch.nn.Module, reference: torch.nn.Module, temperature: float, rows: int) -> Batch:
    """Rollouts of several lengths, one dropped, with advantages of both signs and old policies on both sides."""
    mask = (torch.arange(TOKENS) < torch.randint(2, TOKENS + 1, (rows, 1))).long()
    mask[1] = 0
    prompt_mask = (torch.arange(5) >= torch.randint(0, 3, (rows, 1))).long()
    batch = {
        "prompt_ids": torch.randint(2, 30, (rows, 5)) * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(1, 30, (rows, TOKENS)) * mask,
        "completion_mask": mask,
        "advantages": torch.randn(rows, TOKENS) * mask,
        "num_items_in_batch": torch.tensor(-1),  # what TRL counted over the step is not used
    }
    with torch.no_grad():
        logps = terms_by_hand(model, batch, temperature).logps
        batch["old_per_token_logps"] = logps + 0.4 * torch.randn(rows, TOKENS)
        batch["ref_per_token_logps"] = terms_by_hand(reference, batch, temperature).logps
    return batch


def gradient_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.grad.flatten() for _, value in sorted(model.named_parameters()) if value.grad is not None])


def assert_same_gradient(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert float(wanted.norm()) > 1e-3
    assert float((found - wanted).norm()) <= 1e-5 * float(wanted.norm())


@pytest.mark.parametrize(
    ("updates", "micro_batch"), [(1, None), (1, 2), (2, None), (2, 2)], ids=["whole", "micro", "two", "two-micro"]
)
@pytest.mark.parametrize(("kl", "entropy_bonus"), [(0.0, 0.0), (0.3, 0.2)])
def test_loss_and_gradient_are_the_formulas(
    base: Path, tmp_path: Path, updates: int, micro_batch: int | None, kl: float, entropy_bonus: float
) -> None:
    settings = process(
        updates_per_step=updates, micro_batch=micro_batch, kl=kl, entropy_bonus=entropy_bonus, temperature=0.7
    )
    trainer = make_trainer(base, tmp_path, settings)
    torch.manual_seed(1)
    reference = LlamaForCausalLM.from_pretrained(base)
    with torch.no_grad():  # so that the policy is not where it started
        for parameter in trainer.model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model = LlamaForCausalLM.from_pretrained(base)
    model.load_state_dict(trainer.model.state_dict())
    steps, accumulate = trainer.args.steps_per_generation, trainer.args.gradient_accumulation_steps
    assert (steps, accumulate) == (updates * accumulate, 8 // updates // (micro_batch or 8 // updates))
    trainer._buffered_inputs = [random_batch(model, reference, 0.7, 8 // steps) for _ in range(steps)]
    trainer._count_tokens()
    for start in range(0, steps, accumulate):
        batches = trainer._buffered_inputs[start : start + accumulate]
        trainer.model.zero_grad()
        model.zero_grad()
        found = sum(trainer._compute_loss(trainer.model, batch) for batch in batches)
        found.backward()
        wanted = loss_by_hand(
            model,
            reference if kl else None,
            batches,
            temperature=0.7,
            low=settings.clip_low,
            high=settings.clip_high,
            kl=kl,
            entropy_bonus=entropy_bonus,
        )
        wanted.backward()
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        assert_same_gradient(gradient_of(trainer.model), gradient_of(model))


def test_both_sides_of_the_clip_are_reached_by_what_is_compared(base: Path) -> None:
    torch.manual_seed(1)
    model = LlamaForCausalLM.from_pretrained(base)
    batch = random_batch(model, model, 0.7, 8)
    ratio = torch.exp(terms_by_hand(model, batch, 0.7).logps - batch["old_per_token_logps"])
    high = (ratio > 1.26) & (batch["advantages"] > 0)
    low = (ratio < 0.8) & (batch["advantages"] < 0)
    assert min(int(high.sum()), int(low.sum())) >= 3


def test_each_token_counts_with_its_own_advantage(base: Path, tmp_path: Path) -> None:
    trainer = make_trainer(base, tmp_path, process())
    torch.manual_seed(2)
    batch = random_batch(trainer.model, trainer.model, 0.9, 8)
    batch["completion_mask"].fill_(1)
    batch["old_per_token_logps"] = terms_by_hand(trainer.model, batch, 0.9).logps.detach() - 0.1
    gradients = []
    for advantages in (batch["advantages"], batch["advantages"].flip(1), batch["advantages"].mean(1, keepdim=True)):
        trainer._buffered_inputs = [{**batch, "advantages": advantages.expand(8, TOKENS)}]
        trainer._count_tokens()
        trainer.model.zero_grad()
        trainer._compute_loss(trainer.model, trainer._buffered_inputs[0]).backward()
        gradients.append(gradient_of(trainer.model))
    for other in gradients[1:]:
        assert float((gradients[0] - other).norm()) > 0.3 * float(gradients[0].norm())


def scored_by_place(submission: Submission) -> list[float | None]:
    """Every group gets .75 .75 .75 and no score, or 1 0 .5 .25, by the number of its first rollout."""
    place = int(submission.rollout_id.split("-")[1])
    table: list[float | None] = [0.75, 0.75, 0.75, None, 1.0, 0.0, 0.5, 0.25]
    return [table[place]] * len(submission.cuts)


@pytest.mark.parametrize("updates", [1, 2])
def test_an_unscored_rollout_is_in_no_part_of_the_loss(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int
) -> None:
    memory = remember_updates(monkeypatch)
    settings = outcome(
        steps=3,
        updates_per_step=updates,
        micro_batch=2,
        kl=0.4,
        entropy_bonus=0.3,
        grad_clip=1e9,
        max_tokens=48,
        learning_rate=1e-3,
    )
    train(base, tmp_path / "stage", settings, judge=FakeJudge(scored_by_place), limit=0.5)
    rollouts = read_jsonl(tmp_path / "stage" / "rollouts.jsonl")
    assert [row["advantages"] for row in rollouts[:4]] == [[0.0], [0.0], [0.0], [None]]
    assert len(memory.updates) == 3 * updates
    reference = LlamaForCausalLM.from_pretrained(base)
    model = LlamaForCausalLM.from_pretrained(base)
    dropped = 0
    for update in memory.updates:
        model.load_state_dict(update.weights, strict=False)
        model.zero_grad()
        dropped += sum(int((~batch["completion_mask"].any(dim=1)).sum()) for batch in update.batches)
        loss_by_hand(
            model,
            reference,
            update.batches,
            temperature=0.9,
            low=settings.clip_low,
            high=settings.clip_high,
            kl=0.4,
            entropy_bonus=0.3,
        ).backward()
        found = torch.cat([value.flatten() for _, value in sorted(update.gradient.items())])
        assert_same_gradient(found, gradient_of(model))
    assert dropped == sum(row["advantages"] == [None] for row in rollouts) > 0


@pytest.mark.parametrize("method", [outcome, process])
def test_a_group_of_three_equal_scores_and_one_unscored_has_advantages_0_0_0_and_one_out_of_the_loss(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Callable[..., Optimisation]
) -> None:
    memory = remember_updates(monkeypatch)
    settings = method(steps=1, kl=0.4, entropy_bonus=0.3, grad_clip=1e9, max_tokens=48, learning_rate=1e-3)
    train(base, tmp_path / "stage", settings, judge=FakeJudge(scored_by_place), limit=0.5)  # type: ignore[arg-type]
    rollouts = read_jsonl(tmp_path / "stage" / "rollouts.jsonl")[:4]
    assert not any(row["truncated"] for row in rollouts)
    assert [set(row["advantages"]) for row in rollouts] == [{0.0}, {0.0}, {0.0}, {None}]  # type: ignore[call-overload]
    tokens = [row["tokens"] for row in read_jsonl(tmp_path / "stage" / "rollouts.jsonl")]
    ((update,), model) = memory.updates, LlamaForCausalLM.from_pretrained(base)
    (batch,) = update.batches
    dropped = ~batch["completion_mask"].any(dim=1)
    # TRL shuffles the rows of a step: they are known by their lengths.
    assert int(dropped.sum()) == 1
    kept = sorted(batch["completion_mask"].sum(dim=1)[~dropped].tolist())
    assert kept == sorted([*tokens[:3], *tokens[4:]])  # type: ignore[type-var]
    assert int((batch["advantages"] == 0).all(dim=1).sum()) >= 4
    # The gradient of the whole update is that of the batch in which the unscored rollout is absent.
    absent = {name: value[~dropped] if value.dim() > 0 else value for name, value in batch.items()}
    loss_by_hand(
        model,
        LlamaForCausalLM.from_pretrained(base),
        [absent],
        temperature=settings.temperature,
        low=settings.clip_low,
        high=settings.clip_high,
        kl=0.4,
        entropy_bonus=0.3,
    ).backward()
    found = torch.cat([value.flatten() for _, value in sorted(update.gradient.items())])
    assert_same_gradient(found, gradient_of(model))


def test_the_tokens_of_a_dropped_rollout_get_no_gradient_whatever_they_are(base: Path, tmp_path: Path) -> None:
    """The trainer's own masking and TRL's own loss, with the rollout, with other tokens in it, and without it."""
    trainer = make_trainer(base, tmp_path, process(kl=0.3, entropy_bonus=0.2))
    torch.manual_seed(4)
    reference = LlamaForCausalLM.from_pretrained(base)
    batch = random_batch(trainer.model, reference, 0.9, 4)
    batch["completion_mask"].fill_(1)
    batch["completion_ids"] = torch.randint(2, 30, (4, TOKENS))
    out = np.array([False, False, False, True])
    scored = Scored(np.random.default_rng(0).normal(size=(4, TOKENS)), out)

    def gradient(sampled: Batch) -> torch.Tensor:
        trainer._buffered_inputs = [sampled]
        trainer._count_tokens()
        trainer.model.zero_grad()
        trainer._compute_loss(trainer.model, sampled).backward()
        return gradient_of(trainer.model)

    def masked(sampled: Batch) -> Batch:
        return trainer._with_credit({name: value.clone() for name, value in sampled.items()}, scored)

    with_it = masked(batch)
    assert with_it["completion_mask"].sum(dim=1).tolist() == [TOKENS, TOKENS, TOKENS, 0]
    assert with_it["advantages"][3].abs().max() == 0
    others = masked({**batch, "completion_ids": torch.cat([batch["completion_ids"][:3], torch.full((1, TOKENS), 7)])})
    absent = {name: value[:3] if value.dim() > 0 else value for name, value in with_it.items()}
    wanted = gradient(absent)
    assert_same_gradient(gradient(with_it), wanted)
    assert_same_gradient(gradient(others), wanted)
    in_it = {**with_it, "completion_mask": batch["completion_mask"]}  # so that the comparison can fail
    assert float((gradient(in_it) - wanted).norm()) > 0.01 * float(wanted.norm())
