"""Two problems with a mark in their references, and conversations that solve them."""

from __future__ import annotations

import json
from pathlib import Path

from exprl.types import Problem, Reference

CANARY = "CANARY-quux"  # without digits: a number in a solution could be its answer
QUESTION = "What do 3 teas at 4 and a cake at 5 cost?"
SOLUTION = f"First the teas ({CANARY}):\n3*4=12\n12+5=17\n\\boxed{{17}}"
PROBLEMS = [
    Problem("teas", QUESTION, Reference(SOLUTION, "17"), "general"),
    Problem("law", "Why does heat flow from hot to cold?", Reference(f"{CANARY}: entropy grows.", None), "general"),
]
RIGHT = "3*4=12\n12+5=17\nThe answer is 17."


def write_problems(path: Path) -> Path:
    rows = [
        {"id": "teas", "problem": QUESTION, "solution": SOLUTION, "answer": "17"},
        {"id": "law", "problem": PROBLEMS[1].text, "solution": f"{CANARY}: entropy grows."},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def call(name: str, arguments: str, id_: str = "c1") -> dict[str, object]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


CHAT: list[dict[str, object]] = [
    {"role": "assistant", "content": "", "tool_calls": [call("calculate", '{"expression": "3*4"}')]},
    {"role": "tool", "tool_call_id": "c1", "content": "3*4=12"},
    {"role": "assistant", "content": "12+5=17, so the answer is 17."},
]
