"""A complete run in miniature: a policy that knows nothing, four problems, two steps a stage, and a judge on a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from exprl.runs import read_jsonl
from exprl.worlds import load_problems
from exprl.worlds.policy import Priming, prime
from local_server import in_a_thread, listening

ARMS = {
    "process": 'type = "process"\noutcome_weight = 1.0\nupdates_per_step = 2\nkl = 0.01',
    "sparse": 'type = "sparse"',
}
STAGE = """
steps = {steps}
prompts_per_step = 2
rollouts_per_prompt = 2
learning_rate = 1e-3
temperature = 1.0
max_tokens = 60
save_every = 1
"""
CONFIG = """
name = "tiny"
output = "{output}"
parallel = {parallel}
[policy]
model = "{policy}"
dtype = "float32"
device = "cpu"
sample_batch = 16
[prompt]
system = ""
[verifier]
timeout = 60  # on a busy machine the default runs out, and a sample that is unscored in one run differs from the other's
[data]
train = {{ path = "{problems}", limit = 3 }}
evaluate.held_out = {{ path = "{problems}", offset = 3 }}
[data.filter]
n = 2
max_tokens = 60
[evaluate]
n = 2
max_tokens = 60
bootstrap = 50
[stage2]
{stage}
entropy_bonus = 0.001
"""


MARKS = ("CANARY-7f3a", "70070070")
"""What stands in every reference and nowhere else; the second one the policy could read and write: it has digits."""


def canary(i: int) -> tuple[str, str]:
    """What follows the solution of problem i, and its stored answer."""
    return f"{MARKS[0]}-p{i} {MARKS[1]}", f"{MARKS[1]}{i}"


def save_policy(folder: Path) -> Path:
    """Five steps of priming: it writes the world's symbols, and nothing sensible."""
    model, tokenizer = prime(Priming(steps=5, batch=4, width=16, layers=1, heads=2, feed_forward=32))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_problems(path: Path, canary: Callable[[int], tuple[str, str]] = lambda i: ("", str(i))) -> Path:
    """Four problems of the world as JSONL; `canary` gives what follows the solution, and the answer of each."""
    rows = []
    for i, problem in enumerate(load_problems("world:chain/hard_train")[:4]):
        after, answer = canary(i)
        solution = f"1+{i}={1 + i}###\n{after}\n\\boxed{{{answer}}}"
        rows.append({"id": f"p{i}", "problem": problem.text, "solution": solution, "answer": answer})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_config(
    path: Path,
    policy: Path,
    problems: Path,
    *,
    arms: tuple[str, ...] = ("process", "sparse"),
    judge: str = "",
    **more: int,
) -> Path:
    """A configuration whose run lies beside it, in `runs/tiny`."""
    settings = {"parallel": 1, "steps": 2, **more}
    stage = STAGE.format(steps=settings["steps"])
    text = CONFIG.format(
        output=path.parent / "runs", policy=policy, problems=problems, stage=stage, parallel=settings["parallel"]
    )
    text += "".join(f"[arms.{arm}]\n{ARMS[arm]}\n{stage}" for arm in arms) + judge
    path.write_text(text)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from exprl.cli import main; main()", *map(str, arguments)]


def exprl(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=600, env=os.environ)


def summary_of(config: Path) -> dict[str, object]:
    """What a run found, without its clock: the seconds that training took are the one number that no run repeats."""
    summary: dict[str, object] = json.loads((config.parent / "runs" / "tiny" / "summary.json").read_text())
    cost = summary["cost"]
    assert isinstance(cost, dict)
    for stages in cost.values():
        for row in stages.values():
            del row["seconds"]
    return summary


def children_of(pid: int) -> list[int]:
    """All descendants of a process (Linux)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children_of(child)]
    return found


def wait_until_gone(processes: list[int]) -> None:
    """Workers notice that their parent is gone; on a busy machine it takes them a while to get to it."""
    end = time.monotonic() + 90
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < end, "a worker outlives its run"
        time.sleep(0.1)


def rows_of(run: Path) -> dict[str, list[dict[str, object]]]:
    """All that was recorded, without the clock."""
    return {
        str(path.relative_to(run)): [
            {key: value for key, value in row.items() if key != "seconds"} for row in read_jsonl(path)
        ]
        for path in files_of(run)
        if path.suffix == ".jsonl"
    }


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


@contextmanager
def judge_server(reply: Callable[[str], web.Response]) -> Iterator[str]:
    """An OpenAI-compatible server; `reply` sees the whole prompt. Yields the `[judge]` table that reaches it."""

    async def handle(request: web.Request) -> web.Response:
        return reply(json.dumps(await request.json()))

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    with in_a_thread(listening(app)) as url:
        yield f'[judge]\ntype = "llm"\nmodel = "judge"\nurl = "{url}"\nretries = 0\ntimeout = 20\n'


def says(text: str) -> web.Response:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 5}})
