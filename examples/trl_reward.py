"""TRL trains, and hidden references reward: `exprl.adapters.trl.outcome_reward` as a reward function of its GRPOTrainer.

    pip install 'exprl[train]'
    python examples/trl_reward.py --steps 3                 # the embedded tiny policy on the CPU; nothing is downloaded
    python examples/trl_reward.py --model Qwen/Qwen2.5-0.5B-Instruct --steps 100

The data set has prompts and ids, and no references. `verifier=None` leaves the reward to the judge, which gives partial credit;
without it right answers earn 1 and all others 0. For credit step by step use `exprl prime`.
"""

from __future__ import annotations

import argparse
import tempfile

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import exprl
from exprl.adapters.trl import outcome_reward
from exprl.config import SourceConfig
from exprl.worlds import world_policy


def train(model: str, steps: int, folder: str, problems: list[exprl.Problem]) -> list[dict[str, float]]:
    """A few steps of GRPO; returns what TRL logged."""
    settings = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=64,
        max_steps=steps,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model,
        reward_funcs=[outcome_reward(problems, exprl.MilestoneJudge(), verifier=None)],
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": one.text, "problem_id": one.id} for one in problems]),
    )
    trainer.train()
    return [row for row in trainer.state.log_history if "rewards/exprl_outcome/mean" in row]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", default="world:chain")
    asked.add_argument("--steps", type=int, default=3)
    given = asked.parse_args()
    model = str(world_policy(given.model)) if given.model.startswith("world:") else given.model
    problems = exprl.load_problems(SourceConfig(path="world:chain/hard_train", limit=16))
    with tempfile.TemporaryDirectory() as folder:
        for row in train(model, given.steps, folder, problems):
            print(
                f"step {row['step']}: reward {row['rewards/exprl_outcome/mean']:.3f}, unscored {row['exprl/unscored']:.2f}"
            )


if __name__ == "__main__":
    main()
