"""The trajectories' example, run whole against a policy that is played by a server of ours."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import web

from loading import load
from local_server import in_a_thread, listening

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'exprl[eval]'")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return load("agent_trajectories")


class Player:
    """Looks everything up, then calculates; by its seed it now and then takes a wrong sign, or guesses at once."""

    def __init__(self, shown: int = 12) -> None:
        self.shown = shown  # messages of the examples, which stand before the question
        self.bodies: list[dict[str, object]] = []

    def reply(self, body: dict[str, object]) -> str:
        turns = [turn["content"] for turn in body["messages"][1 + self.shown :]]  # type: ignore[index]
        question, results = turns[0], re.findall(r"RESULT (\S+?)\s?=\s?(\S+)", "\n".join(turns[1:]))
        if not results:
            if random.Random(question + str(body["seed"])).random() < 0.3:
                return "ANSWER: 3"
            items = [f"CALL lookup {name}" for name in re.findall(r"item\d+", question)]
            return "\n".join(items + [f"CALL note {n}" for n in re.findall(r"Note (\d+)", question)])
        prices = [int(value) for name, value in results if "(" in name]
        if len(results) > len(prices):
            return f"ANSWER: {results[-1][1]}"
        counts = [int(n) for n in re.findall(r"(?<![\w])(\d+)", re.sub(r"Note \d+", "", question))]
        sign = "+" if "and" in question and "pay" not in question else "-"
        first = f"{counts[0]}*{prices[0]}"
        second = f"{counts[1]}*{prices[1]}" if len(counts) > 1 and len(prices) > 1 else f"{(counts + prices)[-1]}"
        return f"CALL calculate {first}{sign}{second}"

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        return web.json_response({"choices": [{"message": {"content": self.reply(body)}}]})


@contextlib.contextmanager
def playing(player: Player) -> Iterator[str]:
    """A server in a thread of its own, since the example runs its own loop."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", player.handle)
    with in_a_thread(listening(app)) as url:
        yield url


def test_it_makes_scores_plots_and_compares_and_goes_on_where_it_was(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    player = Player(len(example.SHOWN))
    arguments = ["--out", str(tmp_path), "--tasks", "10", "--attempts", "4", "--concurrency", "4"]
    with playing(player) as url:
        example.main([*arguments, "--url", url])
        made = len(player.bodies)
        file = tmp_path / "trajectories.jsonl"
        file.write_text("".join(line for line in file.read_text().splitlines(keepends=True)[:-3]))
        example.main([*arguments, "--url", url])
    assert made < len(player.bodies) <= made + 3 * example.TURNS
    example.main(arguments)  # without a server: what is there is scored
    rows = [json.loads(line) for line in (tmp_path / "trajectories.jsonl").read_text().splitlines()]
    assert len({(row["task"], row["attempt"]) for row in rows}) == len(rows) == 40
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["tasks"], summary["trajectories"], summary["unscored"]) == (10, 40, 0)
    assert 0.0 < summary["random"]["value"] < summary["judge"]["value"] <= 1.0
    assert summary["advice"]["k"] == 4
    assert max(row["judged"] for row in summary["scores"]) == 1.0  # what is derived and stated is all that there is
    assert (tmp_path / "credit.png").read_bytes().startswith(b"\x89PNG")
    assert "judge_minus_majority" in capsys.readouterr().out


def test_no_reference_reaches_the_policy_or_the_files(example: ModuleType, tmp_path: Path) -> None:
    player = Player(len(example.SHOWN))
    with playing(player) as url:
        example.main(["--out", str(tmp_path), "--tasks", "5", "--attempts", "2", "--url", url])
    shown = json.dumps(player.bodies) + (tmp_path / "trajectories.jsonl").read_text()
    shown += (tmp_path / "summary.json").read_text()
    for problem in example.make_tasks(5):
        steps = problem.reference.reveal().solution.splitlines()
        assert "\n".join(steps) not in shown
        assert "boxed" not in shown


def test_every_task_is_solved_by_its_own_reference(example: ModuleType) -> None:
    import exprl

    tasks = example.make_tasks(40)
    assert len({task.text for task in tasks}) == 40
    for task in tasks:
        scored = exprl.score(task.reference.reveal().solution, task.reference, question=task.text)
        assert scored.outcome == 1.0
        assert (
            exprl.score(task.reference.reveal().solution, task.reference, question=task.text, verifier=None).outcome
            == 1.0
        )


@pytest.mark.parametrize(
    ("name", "argument", "answer"),
    [
        ("calculate", "3*(4+5)", "3*(4+5) = 27"), ("calculate", "3 x 4", "3*4 = 12"), ("calculate", "__import__", "error"),
        ("lookup", "item99", "error"), ("note", "nothing", "error"),
    ],
)  # fmt: skip
def test_tools_answer_and_run_nothing(example: ModuleType, name: str, argument: str, answer: str) -> None:
    assert example.use_tool(name, argument).startswith(answer)


def test_replies_become_messages_with_tool_calls(example: ModuleType) -> None:
    move = example.read_reply("I need it.\nCALL lookup item3\ncall calculate 2*3")
    said, looked, counted = move.messages
    assert said["content"] == "I need it."
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["lookup", "calculate"]
    assert looked["content"] == f"price(item3)={example.PRICES[3]}"
    assert str(counted["content"]).startswith("error: wait")  # it cannot know the price yet
    assert not move.done
    assert example.read_reply("CALL calculate 2*3").messages[1]["content"] == "2*3 = 6"
    assert example.read_reply("ANSWER: 7\nCALL lookup item3").done
    assert example.read_reply("So:\nanswer 7").messages[0]["content"] == "So:\nAnswer: 7"
    assert example.read_reply("hm").done
