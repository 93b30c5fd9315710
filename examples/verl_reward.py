"""verl asks for a reward, and a hidden reference gives it: `exprl.adapters.verl.compute_score`.

    python examples/verl_reward.py            # writes both files, and scores two responses as verl's reward manager does

In verl's own command line the function is named by its module:

    python -m verl.trainer.main_ppo data.train_files=train.parquet ... \\
        reward.custom_reward_function.path=pkg://exprl.adapters.verl \\
        reward.custom_reward_function.name=compute_score \\
        +reward.custom_reward_function.reward_kwargs.problems=problems.jsonl

`problems.jsonl` has the references and stays where rewards are computed. A row of the training file has the problem's id
where verl keeps the ground truth.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from exprl.adapters.verl import compute_score

PROBLEM = {
    "id": "teas",
    "problem": "What do 3 teas at 4 and a cake at 5 cost?",
    "solution": "3*4=12\n12+5=17\n\\boxed{17}",
    "answer": "17",
}


def write_files(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The problems' file, and a row of the training file."""
    problems = folder / "problems.jsonl"
    problems.write_text(json.dumps(PROBLEM) + "\n", "utf-8")
    row = {
        "data_source": "teas",
        "prompt": [{"role": "user", "content": PROBLEM["problem"]}],
        "reward_model": {"style": "rule", "ground_truth": PROBLEM["id"]},
    }
    return problems, row


async def rewards(folder: Path, responses: list[str]) -> list[dict[str, float]]:
    """Each response's reward, called by the names that verl uses."""
    problems, row = write_files(folder)
    data_source, ground_truth = str(row["data_source"]), str(row["reward_model"]["ground_truth"])
    return [
        await compute_score(
            data_source=data_source,
            solution_str=response,
            ground_truth=ground_truth,
            extra_info={"num_turns": None},
            problems=str(problems),
            verifier=None,
        )
        for response in responses
    ]


def main() -> None:
    responses = ["3*4=12, 12+5=17, so \\boxed{17}", "3*4=12, and I am stuck."]
    for response, reward in zip(responses, asyncio.run(rewards(Path(), responses)), strict=True):
        print(f"{response!r}: {reward}")


if __name__ == "__main__":
    main()
