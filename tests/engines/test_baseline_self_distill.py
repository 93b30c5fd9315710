"""Self-distillation gives every sampled token the credit log pi_T - log pi_S, and the policy never reads the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import BARE, FakeVerifier, Update, records, remember_updates, same_weights, save_policy, small
from transformers import LlamaForCausalLM

from exprl.baselines import SelfDistillation, open_self_distillation
from exprl.baselines.self_distill import token_credit
from exprl.baselines.teacher import teacher_prompt
from exprl.config import PolicyConfig, SelfDistillConfig
from exprl.engines.trl import trainer as trainer_module
from exprl.engines.trl.checkpoint import load_tokenizer
from exprl.engines.trl.train import Row, Stage, train_stage
from exprl.errors import DataError
from exprl.types import Problem, Reference

CANARY = "70070070"
PROBLEMS = [Problem(f"p{i}", f"{1111 + i} then rev?", Reference(f"{i}+1 {CANARY}", f"{CANARY}{i}")) for i in range(3)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def settings(**changes: object) -> SelfDistillConfig:
    return SelfDistillConfig.model_validate(small(steps=2, save_every=1, grad_clip=1e9, **changes))


def opened(base: Path, how: SelfDistillConfig, problems: Sequence[Problem] = PROBLEMS) -> SelfDistillation:
    return open_self_distillation(how, str(base), problems, policy_of(base), BARE)


def policy_of(base: Path) -> PolicyConfig:
    return PolicyConfig(model=str(base), dtype="float32", device="cpu")


def distill(base: Path, folder: Path, how: SelfDistillConfig, die_at: int = 0) -> Path:
    def on_step(row: Row) -> None:
        if row["step"] == die_at:
            raise KeyboardInterrupt

    stage = Stage(str(base), how, PROBLEMS, folder, seed=3)
    return train_stage(stage, opened(base, how), FakeVerifier(), policy_of(base), BARE, on_step=on_step)


def test_a_token_that_the_teacher_finds_likelier_is_encouraged() -> None:
    # Log-probabilities of e^-1 and e^-2 against e^-1.5 and e^-0.5: 1.5 - 1 less, 2 - 0.5 more.
    (credit,) = token_credit([np.array([-1.0, -2.0])], [np.array([-1.5, -0.5])])
    assert credit.tolist() == [-0.5, 1.5]


def plain_log_probs(model: torch.nn.Module, prompt: list[int], answer: list[int], temperature: float) -> torch.Tensor:
    """(T,) token by token from the whole sequence, in the plainest way."""
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0] / temperature
    return torch.stack(
        [torch.log_softmax(logits[len(prompt) - 1 + t], dim=-1)[token] for t, token in enumerate(answer)]
    )


def rows_of(update: Update) -> list[tuple[list[int], list[int]]]:
    """(prompt ids, completion ids) of every rollout of an update."""
    found = []
    for batch in update.batches:
        for r in range(len(batch["prompt_ids"])):
            prompt = batch["prompt_ids"][r][batch["prompt_mask"][r].bool()].tolist()
            found.append((prompt, batch["completion_ids"][r][batch["completion_mask"][r].bool()].tolist()))
    return found


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_credit_loss_and_gradient_are_those_of_the_formula(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batch: int | None
) -> None:
    memory = remember_updates(monkeypatch)
    how = settings(micro_batch=micro_batch)
    distill(base, tmp_path, how)
    tokenizer = load_tokenizer(str(base))
    first = LlamaForCausalLM.from_pretrained(base).eval()
    told = {tuple(tokenizer.encode(p.text)): teacher_prompt(p, BARE, tokenizer, None) for p in PROBLEMS}
    update = memory.updates[1]  # by now the student is no longer its teacher
    student = LlamaForCausalLM.from_pretrained(base).eval()
    student.load_state_dict(update.weights, strict=False)
    loss, tokens = torch.tensor(0.0), 0
    given = torch.cat([b["advantages"][b["completion_mask"].bool()] for b in update.batches])
    expected = []
    for prompt, answer in rows_of(update):
        said = plain_log_probs(student, prompt, answer, how.temperature)
        with torch.no_grad():
            d = said - plain_log_probs(first, told[tuple(prompt)], answer, how.temperature)
        expected.append(-d.detach())
        loss = loss + (d.detach() * said).sum()
        tokens += len(answer)
    torch.testing.assert_close(given, torch.cat(expected), atol=1e-5, rtol=1e-4)
    assert given.abs().max() > 0.01
    (loss / tokens).backward()
    for name, parameter in student.named_parameters():
        torch.testing.assert_close(update.gradient[name], parameter.grad, atol=1e-6, rtol=1e-3)


def test_the_policy_never_reads_the_reference_and_no_file_holds_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(str(base))
    read: list[str] = []
    sample = trainer_module.generate

    def watched(model: object, prompts: Sequence[Sequence[int]], **more: object) -> list[list[int]]:
        read.extend(tokenizer.decode(list(ids)) for ids in prompts)
        return sample(model, prompts, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer_module, "generate", watched)
    distill(base, tmp_path, settings())
    assert len(read) == 16
    assert not any(CANARY in text for text in read)
    assert CANARY in tokenizer.decode(teacher_prompt(PROBLEMS[0], BARE, tokenizer, None))
    held = [path.name for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert held == []
    metrics, rollouts, verdicts = records(tmp_path)
    assert (len(metrics), len(rollouts), verdicts) == (2, 16, [])
    assert all(row["unscored"] == 0 and row["zero_signal"] == 0 for row in metrics)


def test_a_killed_stage_ends_with_the_numbers_of_an_uninterrupted_one(base: Path, tmp_path: Path) -> None:
    whole = distill(base, tmp_path / "whole", settings())
    with pytest.raises(KeyboardInterrupt):
        distill(base, tmp_path / "killed", settings(), die_at=2)
    assert same_weights(whole, distill(base, tmp_path / "killed", settings()))
    assert records(tmp_path / "whole") == records(tmp_path / "killed")


def test_a_teachers_prompt_that_does_not_fit_is_refused_without_quoting_it(base: Path) -> None:
    long = [Problem("p9", "1111 then rev?", Reference(f"{CANARY}" * 8, "1"))]
    with pytest.raises(DataError, match=r"problem p9: .* over max_teacher_tokens=20") as told:
        opened(base, settings(max_teacher_tokens=20), long)
    assert CANARY not in str(told.value)
    with pytest.raises(DataError, match=r"problem p9: .* do not fit into the model's 64 positions"):
        opened(base, settings(), long)
    with pytest.raises(DataError, match="problem p8: no reference solution"):
        opened(base, settings(), [Problem("p8", "1111 then rev?", Reference(None, "1"))])
