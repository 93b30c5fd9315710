"""TRL's reward function: called as TRL calls it, and by TRL's own trainer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from teas import CANARY, CHAT, PROBLEMS, RIGHT

from exprl.adapters.trl import outcome_reward
from exprl.errors import DataError
from exprl.types import Submission, Verdict


class Silent:
    name = template_hash = "silent"

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [(Verdict(None, unscored="timeout", raw=CANARY),) * len(one.cuts) for one in submissions]

    async def aclose(self) -> None:
        """Nothing."""


def test_text_and_conversations_are_rewarded_and_the_unscored_are_none() -> None:
    logged: dict[str, float] = {}
    reward = outcome_reward(PROBLEMS, Silent())
    rewards = asyncio.run(
        reward(
            prompts=["q"] * 4,
            completions=[RIGHT, CHAT, "The answer is 18.", "Because."],
            problem_id=["teas", "teas", "teas", "law"],
            log_metric=logged.__setitem__,
        )
    )
    assert rewards == [1.0, 1.0, 0.0, None]
    assert logged == {"exprl/unscored": 0.25}


def test_the_judge_alone_gives_dense_rewards() -> None:
    reward = outcome_reward(PROBLEMS, verifier=None)
    rewards = asyncio.run(reward(prompts=["q"], completions=["3*4=12"], problem_id=["teas"]))
    assert rewards == [0.25]


def test_a_data_set_without_ids_is_refused() -> None:
    for columns in ({}, {"problem_id": "teas"}, {"problem_id": ["teas", "teas"]}):
        with pytest.raises(DataError, match="no column 'problem_id'"):
            asyncio.run(outcome_reward(PROBLEMS)(prompts=["q"], completions=[RIGHT], **columns))


def random_policy(folder: Path) -> str:
    from transformers import LlamaConfig, LlamaForCausalLM

    from exprl.worlds.tokenizer import PIECES, make_tokenizer

    tokenizer = make_tokenizer()
    settings = LlamaConfig(
        vocab_size=len(PIECES), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")  # the package's own warnings are not ours to mend
def test_trls_own_trainer_takes_a_step_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    policy = random_policy(tmp_path / "policy")
    rows = [{"prompt": f"{number} + 1?", "problem_id": problem.id} for number, problem in enumerate(PROBLEMS)]
    settings = GRPOConfig(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=4, num_generations=2, max_completion_length=8,
        max_steps=1, report_to=[], use_cpu=True, logging_steps=1, save_strategy="no", bf16=False, disable_tqdm=True,
    )  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        trainer = GRPOTrainer(
            policy,
            reward_funcs=[outcome_reward(PROBLEMS, Silent())],
            args=settings,
            train_dataset=Dataset.from_list(rows),
        )
        trainer.train()
    row = next(row for row in trainer.state.log_history if "rewards/exprl_outcome/mean" in row)
    assert row["rewards/exprl_outcome/mean"] == 0.0  # an untrained policy is wrong on `teas`; `law` is unscored
    assert row["exprl/unscored"] == 0.5
    assert CANARY not in caplog.text  # TRL warns of rows without a reward, and prints their columns
    assert "returned None" in caplog.text


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")
@pytest.mark.slow
def test_the_example_trains(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    import exprl
    from exprl.config import SourceConfig
    from loading import load

    problems = exprl.load_problems(SourceConfig(path="world:chain/hard_train", limit=4))
    (row,) = load("trl_reward").train(random_policy(tmp_path / "policy"), 1, str(tmp_path / "out"), problems)
    assert row["exprl/unscored"] == 0.0
    assert 0.0 <= row["rewards/exprl_outcome/mean"] < 0.5  # an untrained policy, by the judge
