"""SFT trains on the reference and its end, after the prompt that the policy gets; it samples nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import BARE, same_weights, save_policy
from transformers import LlamaForCausalLM

from exprl.baselines.sft import Row, SftStage, targets, train_sft
from exprl.config import PolicyConfig, SftConfig
from exprl.engines.trl.checkpoint import load_tokenizer
from exprl.errors import DataError
from exprl.prompting import encode
from exprl.runs import read_jsonl
from exprl.types import Problem, Reference

CANARY = "70070070"
PROBLEMS = [Problem(f"p{i}", f"{1111 + i} then rev?", Reference(f"{CANARY}" + "9" * i, str(i))) for i in range(5)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def stage(base: Path, folder: Path, problems: list[Problem] = PROBLEMS, **changes: object) -> SftStage:
    settings = {"batch": 2, "learning_rate": 1e-2, "save_every": 2, **changes}
    return SftStage(str(base), SftConfig.model_validate(settings), problems, folder, seed=3)


def policy_of(base: Path) -> PolicyConfig:
    return PolicyConfig(model=str(base), dtype="float32", device="cpu")


def tune(what: SftStage, die_at: int = 0) -> Path:
    def on_step(row: Row) -> None:
        if row["step"] == die_at:
            raise KeyboardInterrupt

    return train_sft(what, policy_of(Path(what.policy)), BARE, on_step=on_step)


def test_the_loss_is_on_the_reference_and_its_end_and_not_on_the_prompt(base: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(base))
    rows = targets(stage(base, tmp_path), policy_of(base), BARE, tokenizer)
    for problem, row in zip(PROBLEMS, rows, strict=True):
        asked = encode(problem.question, BARE, tokenizer)
        assert row["input_ids"][: len(asked)] == asked
        assert row["labels"][: len(asked)] == [-100] * len(asked)
        target = row["labels"][len(asked) :]
        assert row["input_ids"][len(asked) :] == target
        assert target[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(target[:-1]) == problem.reference.reveal().solution


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_the_first_loss_is_the_token_mean_over_the_update(base: Path, tmp_path: Path, micro_batch: int | None) -> None:
    what = stage(base, tmp_path, batch=8, micro_batch=micro_batch, epochs=1)
    tune(what)
    model = LlamaForCausalLM.from_pretrained(base).eval()
    lost, tokens = 0.0, 0
    for row in targets(what, policy_of(base), BARE, load_tokenizer(str(base))):
        labels = torch.tensor(row["labels"][1:])
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].detach()
        logp = torch.log_softmax(logits, dim=-1)
        kept = labels != -100
        lost -= float(logp[kept].gather(-1, labels[kept][:, None]).sum())
        tokens += int(kept.sum())
    (first,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert float(str(first["loss"])) == pytest.approx(lost / tokens, rel=1e-4)


def test_two_epochs_are_made_with_a_warm_up_and_a_cosine_and_no_rollouts(base: Path, tmp_path: Path) -> None:
    what = stage(base, tmp_path, epochs=4, warmup=0.25)
    tune(what)
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 13))  # 4 x (2 + 2 + 1)
    assert what.settings.updates(5) == 12
    rates = [float(str(row["learning_rate"])) for row in rows]
    assert rates[:4] == pytest.approx([0, 1e-2 / 3, 2e-2 / 3, 1e-2])
    assert sorted(rates[3:], reverse=True) == rates[3:]
    assert {row["rollouts"] for row in rows} == {0}
    assert not (tmp_path / "rollouts.jsonl").exists()
    losses = [float(str(row["loss"])) for row in rows]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_a_killed_stage_ends_with_the_numbers_of_an_uninterrupted_one(base: Path, tmp_path: Path) -> None:
    whole = tune(stage(base, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        tune(stage(base, tmp_path / "killed"), die_at=5)
    assert same_weights(whole, tune(stage(base, tmp_path / "killed")))
    clockless = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_jsonl(tmp_path / name / "metrics.jsonl")]
        for name in ("whole", "killed")
    ]
    assert clockless[0] == clockless[1]
    assert tune(stage(base, tmp_path / "killed")) == tmp_path / "killed" / "final"  # nothing is done twice


def test_no_file_of_a_stage_holds_a_reference(base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tune(stage(base, tmp_path))
    held = [path.name for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert held == []
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err


@pytest.mark.parametrize(
    ("reference", "changes", "said"),
    [
        (None, {}, "no reference solution"),
        (CANARY, {"max_tokens": 8}, "its reference has 9 tokens, over max_tokens=8"),
        (CANARY, {"max_prompt_tokens": 3}, "over max_prompt_tokens=3"),
        (f"{CANARY}<eos>", {}, "end-of-text"),
        (CANARY * 8, {}, "the model 64 positions"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_without_quoting_it(
    base: Path, tmp_path: Path, reference: str | None, changes: dict[str, object], said: str
) -> None:
    problem = Problem("p7", "1111 then rev?", Reference(reference, "1"))
    with pytest.raises(DataError, match=said) as told:
        tune(stage(base, tmp_path, [problem], **changes))
    assert CANARY not in str(told.value)
