"""Trajectories of a small local model on tool-use tasks, scored step by step against hidden references.

    python examples/agent_trajectories.py --url http://127.0.0.1:8080/v1 --model qwen1.5b --out runs/agents

1. Makes `--attempts` trajectories of each of `--tasks` shop questions: the model looks prices up, reads notes, calculates,
   answers; at most 4 turns of 80 tokens. The references stay in this process, and what the model reads is checked for them.
2. Scores every trajectory (`exprl.score_batch`): outcome, prefix scores, credit a step. The judge needs no model.
3. Plots the credit (`credit.png`), and compares, with intervals over tasks: the best of n by the judge, majority vote, one at
   random. The judge knows the reference, so its row is what search could reach at most, and not a policy's score.

Everything is written as it is made: the same command goes on where it was stopped. `trajectories.jsonl` may be shown to
anybody; `summary.json` holds numbers. A key is read from EXPRL_POLICY_API_KEY. Any OpenAI-compatible server will do,
without tool calling of its own: calls are lines of text here, which small models manage better.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import json
import os
import random
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
import stamina

import exprl
from exprl.adapters.graders.formula import FormulaError, evaluate
from exprl.agents import Move, TraceScore, View
from exprl.evaluate.coverage import Counts
from exprl.evaluate.intervals import Interval, draw_weights, percentiles, replicate_means, widened, widened_difference
from exprl.runs import append_jsonl, read_jsonl, write_json
from exprl.turns import ChatMessage, last_words
from exprl.verify.answer import extract_answer, normalise

TURNS, TOKENS, LEVEL = 4, 80, 0.95
SYSTEM = """You answer questions about a shop with tools. Write one line for each tool that you need:
CALL lookup <item>         gives an item's price
CALL note <number>         reads a note
CALL calculate <numbers>   computes
Look everything up first, and wait for the results. Then calculate. Never guess a price.
When you know the result, write one line:
ANSWER: <number>"""
SHOWN = [
    ("user", "What do 2 pieces of item90 and 3 of item91 cost?"),
    ("assistant", "CALL lookup item90\nCALL lookup item91"),
    ("user", "RESULT price(item90)=6\nRESULT price(item91)=7"),
    ("assistant", "CALL calculate 2*6+3*7"),
    ("user", "RESULT 2*6+3*7 = 33"),
    ("assistant", "ANSWER: 33"),
    (
        "user",
        "I buy 4 pieces of item92 and pay with 50. Note 95 says how much is taken off the whole. How much is left?",
    ),
    ("assistant", "CALL lookup item92\nCALL note 95"),
    ("user", "RESULT price(item92)=8\nRESULT note(95)=3"),
    ("assistant", "CALL calculate 50-(4*8-3)"),
    ("user", "RESULT 50-(4*8-3) = 21"),
    ("assistant", "ANSWER: 21"),
]
PRICES = {item: random.Random(item).randint(3, 29) for item in range(1, 41)}
NOTES = {note: random.Random(1000 + note).randint(2, 9) for note in range(1, 10)}


# --- tasks, each with its hidden reference


def make_tasks(count: int) -> list[exprl.Problem]:
    """The first `count` tasks, always the same ones; five kinds in turn."""
    return [_KINDS[number % len(_KINDS)](number, random.Random(number)) for number in range(count)]


def _problem(number: int, text: str, steps: Sequence[str], answer: int) -> exprl.Problem:
    solution = "\n".join([*steps, f"\\boxed{{{answer}}}"])
    return exprl.Problem(f"task-{number:03d}", text, exprl.Reference(solution, str(answer)), "general")


def _draw(draw: random.Random) -> tuple[int, int, int, int, int, int]:
    one, two = draw.sample(range(1, 41), 2)
    return draw.randint(2, 9), one, PRICES[one], draw.randint(2, 9), two, PRICES[two]


def _total(number: int, draw: random.Random) -> exprl.Problem:
    a, one, p, b, two, q = _draw(draw)
    steps = [
        f"price(item{one})={p}",
        f"price(item{two})={q}",
        f"{a}*{p}={a * p}",
        f"{b}*{q}={b * q}",
        f"{a * p}+{b * q}={a * p + b * q}",
    ]
    return _problem(number, f"What do {a} pieces of item{one} and {b} of item{two} cost?", steps, a * p + b * q)


def _change(number: int, draw: random.Random) -> exprl.Problem:
    a, one, p, *_ = _draw(draw)
    paid = a * p + draw.randint(1, 40)
    steps = [f"price(item{one})={p}", f"{a}*{p}={a * p}", f"{paid}-{a * p}={paid - a * p}"]
    return _problem(
        number, f"I buy {a} pieces of item{one} and pay with {paid}. How much is left?", steps, paid - a * p
    )


def _number(number: int, draw: random.Random) -> exprl.Problem:
    a, one, p, *_ = _draw(draw)
    steps = [f"price(item{one})={p}", f"{a * p}/{p}={a}"]
    return _problem(number, f"How many pieces of item{one} can I buy for {a * p}?", steps, a)


def _difference(number: int, draw: random.Random) -> exprl.Problem:
    a, one, p, _, two, q = _draw(draw)
    if p == q:
        return _change(number, draw)
    (dear, high), (cheap, low) = ((one, p), (two, q)) if p > q else ((two, q), (one, p))
    steps = [
        f"price(item{dear})={high}",
        f"price(item{cheap})={low}",
        f"{high}-{low}={high - low}",
        f"{a}*{high - low}={a * (high - low)}",
    ]
    text = f"How much more do {a} pieces of item{dear} cost than {a} pieces of item{cheap}?"
    return _problem(number, text, steps, a * (high - low))


def _discount(number: int, draw: random.Random) -> exprl.Problem:
    a, one, p, *_ = _draw(draw)
    note = draw.randint(1, 9)
    off = NOTES[note]
    steps = [f"price(item{one})={p}", f"note({note})={off}", f"{a}*{p}={a * p}", f"{a * p}-{off}={a * p - off}"]
    text = f"Note {note} says how much is taken off the whole. What do {a} pieces of item{one} cost then?"
    return _problem(number, text, steps, a * p - off)


_KINDS: list[Callable[[int, random.Random], exprl.Problem]] = [_total, _change, _number, _difference, _discount]


# --- tools: deterministic, and nothing that a model writes is run


def use_tool(name: str, argument: str) -> str:
    """What a tool answers."""
    digits = re.search(r"\d{1,3}", argument)
    if name == "calculate":
        expression = re.sub(r"\s+", "", argument.replace("×", "*").replace("x", "*"))[:80]
        try:
            value = evaluate(expression, {})
        except FormulaError:
            return "error: that cannot be calculated; write numbers, + - * / and brackets"
        return f"{expression} = {value:.10g}"
    if name == "lookup" and digits and int(digits[0]) in PRICES:
        return f"price(item{int(digits[0])})={PRICES[int(digits[0])]}"
    if name == "note" and digits and int(digits[0]) in NOTES:
        return f"note({int(digits[0])})={NOTES[int(digits[0])]}"
    return "error: there is nothing of that name"


_CALL = re.compile(r"^[ \t]*CALL[ \t]+(lookup|note|calculate)\b[ \t:(]*([^\n]{0,100})", re.MULTILINE | re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t]*ANSWER\b[ \t:=]*", re.MULTILINE | re.IGNORECASE)


def read_reply(reply: str) -> Move:
    """A reply as an OpenAI message with tool calls, and the tools' results."""
    calls = [] if _ANSWER.search(reply) else _CALL.findall(reply)[:4]
    words = _CALL.sub("", reply) if calls else _ANSWER.sub("Answer: ", reply, count=1)  # as judge and verifier read it
    said: dict[str, object] = {"role": "assistant", "content": words.strip()}
    results: list[dict[str, object]] = []
    looks = any(name.lower() != "calculate" for name, _ in calls)
    for place, (name, argument) in enumerate(calls):
        told = {"name": name.lower(), "arguments": argument.strip()}
        said.setdefault("tool_calls", []).append({"id": f"c{place}", "type": "function", "function": told})  # type: ignore[attr-defined]
        early = looks and name.lower() == "calculate"  # with numbers that it cannot know yet
        result = "error: wait for the results, then calculate" if early else use_tool(name.lower(), argument.strip())
        results.append({"role": "tool", "tool_call_id": f"c{place}", "content": result})
    return Move([said, *results], done=not calls)


def as_lines(path: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """A path as the model saw it: calls and results are lines."""
    turns: list[dict[str, str]] = []
    for message in path:
        if message["role"] == "tool":
            line = f"RESULT {message['content']}"
            if turns[-1]["role"] == "user":
                turns[-1]["content"] += f"\n{line}"
            else:
                turns.append({"role": "user", "content": line})
        else:
            calls = [call["function"] for call in message.get("tool_calls", [])]  # type: ignore[attr-defined]
            lines = [str(message["content"]), *(f"CALL {call['name']} {call['arguments']}" for call in calls)]
            turns.append({"role": "assistant", "content": "\n".join(line for line in lines if line)})
    return turns


# --- the policy


@dataclasses.dataclass
class Policy:
    """A model behind an OpenAI-compatible endpoint, as an actor for one attempt."""

    session: aiohttp.ClientSession
    url: str
    model: str
    temperature: float

    def actor(self, attempt: int) -> Callable[[View], object]:
        async def act(view: View) -> Move:
            return read_reply(await self._reply(view, attempt))

        return act

    async def _reply(self, view: View, attempt: int) -> str:
        asked = [{"role": "system", "content": SYSTEM}, *({"role": role, "content": text} for role, text in SHOWN)]
        asked += [{"role": "user", "content": view.question.text}, *as_lines(view.path)]
        seed = zlib.crc32(f"{view.question.id}/{attempt}/{len(view.path)}".encode()) & 0x7FFFFFFF
        body = {
            "model": self.model, "messages": asked, "max_tokens": TOKENS, "temperature": self.temperature, "seed": seed,
        }  # fmt: skip
        async for tried in stamina.retry_context(on=(aiohttp.ClientError, TimeoutError), attempts=4):
            with tried:
                async with self.session.post(f"{self.url.rstrip('/')}/chat/completions", json=body) as response:
                    response.raise_for_status()
                    reply = await response.json()
        return str(reply["choices"][0]["message"]["content"] or "")


async def make_trajectories(tasks: Sequence[exprl.Problem], given: argparse.Namespace, file: Path) -> None:
    """Every attempt that is not in the file yet."""
    there = {(row["task"], row["attempt"]) for row in read_jsonl(file)}
    todo = [(task, n) for task in tasks for n in range(given.attempts) if (task.id, n) not in there]
    key = os.environ.get("EXPRL_POLICY_API_KEY")
    gate, judge = asyncio.Semaphore(given.concurrency), exprl.MilestoneJudge()
    timeout, headers = aiohttp.ClientTimeout(total=600), {"Authorization": f"Bearer {key}"} if key else None
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        policy = Policy(session, given.url, given.model, given.temperature)

        async def one(task: exprl.Problem, attempt: int) -> None:
            async with gate:
                found = await exprl.best_of_n(policy.actor(attempt), task, judge, 1, max_steps=TURNS)
            append_jsonl(
                file, [{"task": task.id, "attempt": attempt, "ended": found.ended[0], "path": list(found.path)}]
            )
            print(f"{task.id}, attempt {attempt}: {found.moves} turns", flush=True)

        async with asyncio.TaskGroup() as group:
            for task, attempt in todo:
                group.create_task(one(task, attempt))


# --- scores and what they say


class Attempt(NamedTuple):
    """One trajectory, scored with the verifier's word on its answer, and by the judge alone; and that answer."""

    task: str
    scored: TraceScore
    alone: TraceScore
    answer: str | None

    @property
    def right(self) -> float | None:
        return self.scored.outcome

    @property
    def judged(self) -> float | None:
        return self.alone.outcome


async def score_all(tasks: Sequence[exprl.Problem], rows: Sequence[dict[str, object]]) -> list[Attempt]:
    """Score every trajectory; right or wrong is the verifier's word, the choice among them the judge's."""
    by_id = {task.id: task for task in tasks}
    kept = [row for row in rows if row["task"] in by_id]
    trials = [
        exprl.Trial(path, by_id[name].reference, by_id[name].text, name, "general")
        for name, path in ((str(row["task"]), row["path"]) for row in kept)
        if isinstance(path, list)
    ]
    judge = exprl.MilestoneJudge()
    scored = await exprl.score_batch(trials, judge=judge)
    judged = await exprl.score_batch(trials, judge=judge, verifier=None)
    return [
        Attempt(trial.id, one, other, _answer(trial)) for trial, one, other in zip(trials, scored, judged, strict=True)
    ]


def _answer(trial: exprl.Trial) -> str | None:
    said = extract_answer(last_words(trial.trace), stated=True) if not isinstance(trial.trace, str) else None
    return None if said is None or not re.search(r"\d", said) else normalise(said)  # "error" is no vote


def compare(attempts: Sequence[Attempt], n: int) -> dict[str, object]:
    """Right answers by three ways to choose one of n, with intervals over tasks, and what they say of search."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.task, []).append(attempt)
    full = [group[:n] for group in groups.values() if len(group) >= n]
    ways = {"judge": _by_judge, "majority": _by_majority, "random": lambda group: _mean([_value(one) for one in group])}
    values = {name: np.array([way(group) for group in full]) for name, way in ways.items()}
    counts = Counts.of([n] * len(full), [int(sum(_value(one) for one in group)) for group in full])
    return {
        "tasks": len(full),
        "trajectories": sum(map(len, full)),
        "n": n,
        "unscored": sum(one.right is None for group in full for one in group),
        **{name: _interval(found)._asdict() for name, found in values.items()},
        "judge_minus_random": _gap(values["judge"] - values["random"])._asdict(),
        "judge_minus_majority": _gap(values["judge"] - values["majority"])._asdict(),
        "advice": exprl.advise(counts).as_dict(),
    }


def _value(attempt: Attempt) -> float:
    return attempt.right or 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _by_judge(group: Sequence[Attempt]) -> float:
    """The judge's favourite; among equals every one is as likely."""
    best = max((one.judged for one in group if one.judged is not None), default=None)
    return _mean([_value(one) for one in group if one.judged == best])


def _by_majority(group: Sequence[Attempt]) -> float:
    """The answer that most attempts state; among equals every one is as likely. Nothing stated: wrong."""
    tally = collections.Counter(one.answer for one in group if one.answer is not None)
    if not tally:
        return 0.0
    most = [answer for answer, count in tally.items() if count == max(tally.values())]
    return _mean([max(_value(one) for one in group if one.answer == answer) for answer in most])


def _resampled(values_P: np.ndarray) -> tuple[float, float]:
    weights = draw_weights(1, np.ones(len(values_P), dtype=np.int64), 2000, 0)
    return percentiles(replicate_means(values_P[None], weights), LEVEL)


def _interval(values_P: np.ndarray) -> Interval:
    return widened(_mean(values_P), *_resampled(values_P), values_P[None], LEVEL)


def _gap(values_P: np.ndarray) -> Interval:
    return widened_difference(_mean(values_P), *_resampled(values_P), values_P, LEVEL)


def plot(attempts: Sequence[Attempt], file: Path) -> None:
    """Left: each trajectory's credit a step. Right: the judge's own prefix scores of those that end right, and of others."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ordered = sorted(attempts, key=lambda one: (one.right or 0.0, [step.score or 0.0 for step in one.scored.steps]))
    credit_RS, score_RS = np.full((2, len(ordered), TURNS), np.nan)
    for row, one in enumerate(ordered):
        for column, (step, alone) in enumerate(zip(one.scored.steps[:TURNS], one.alone.steps, strict=False)):
            credit_RS[row, column] = np.nan if step.credit is None else step.credit
            score_RS[row, column] = np.nan if alone.score is None else alone.score
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 5), layout="constrained")
    shown = left.imshow(credit_RS, aspect="auto", cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    left.set_facecolor("0.75")
    wrong = sum(not one.right for one in ordered)
    left.axhline(wrong - 0.5, color="black", linewidth=1)
    left.set(
        title="credit of each step (grey: no step)",
        xlabel="step",
        ylabel=f"trajectories: {wrong} wrong above the line, {len(ordered) - wrong} right",
    )
    left.set_xticks(range(TURNS), range(1, TURNS + 1))
    figure.colorbar(shown, ax=left, label="A_t (DeltaNorm)")
    for rows, label, colour in ((slice(wrong, None), "right", "tab:blue"), (slice(0, wrong), "wrong", "tab:red")):
        _curve(right, score_RS[rows], label, colour)
    right.set(title="score of the prefix, by the judge alone", xlabel="step", ylabel="mean score", ylim=(-0.02, 1.02))
    right.set_xticks(range(1, TURNS + 1))
    right.legend()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def _curve(axes: object, scores_RS: np.ndarray, label: str, colour: str) -> None:
    counted = [column[~np.isnan(column)] for column in scores_RS.T]
    steps = [place for place, column in enumerate(counted) if len(column) > 1]
    if not steps:
        return
    ends = np.array([_resampled(counted[place]) for place in steps])
    means = [_mean(counted[place]) for place in steps]
    where = [place + 1 for place in steps]
    axes.plot(where, means, marker="o", color=colour, label=f"{label} (n={len(scores_RS)})")  # type: ignore[attr-defined]
    axes.fill_between(where, ends[:, 0], ends[:, 1], color=colour, alpha=0.2)  # type: ignore[attr-defined]


def report(found: dict[str, object]) -> str:
    """The comparison as a table in plain text."""
    lines = [
        f"{found['trajectories']} trajectories, {found['tasks']} tasks, best of {found['n']}, 95 % intervals over tasks"
    ]
    for name in ("judge", "majority", "random", "judge_minus_random", "judge_minus_majority"):
        interval = Interval(**found[name])  # type: ignore[arg-type]
        lines.append(f"  {name:22} {interval.value:6.3f} [{interval.low:6.3f}, {interval.high:6.3f}]")
    return "\n".join([*lines, f"  {found['advice']['text']}"])  # type: ignore[index]


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--url", help="endpoint of the model, up to /v1; without it only what is there is scored")
    asked.add_argument("--model", default="model")
    asked.add_argument("--out", type=Path, default=Path("runs/agents"))
    asked.add_argument("--tasks", type=int, default=16)
    asked.add_argument("--attempts", type=int, default=8)
    asked.add_argument("--temperature", type=float, default=0.8)
    asked.add_argument("--concurrency", type=int, default=2)
    given = asked.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    tasks, file = make_tasks(given.tasks), given.out / "trajectories.jsonl"
    if given.url:
        asyncio.run(make_trajectories(tasks, given, file))
    rows = sorted(read_jsonl(file), key=lambda row: (str(row["task"]), int(str(row["attempt"]))))
    attempts = asyncio.run(score_all(tasks, rows))
    if not any(len([one for one in attempts if one.task == task.id]) >= given.attempts for task in tasks):
        raise SystemExit(f"{file}: no task has {given.attempts} attempts yet; give --url, or fewer --attempts")
    found = compare(attempts, given.attempts)
    steps = [{"task": one.task, "judged": one.judged, **one.scored.as_dict()} for one in attempts]
    write_json(given.out / "summary.json", {**found, "model": given.model, "scores": steps})
    plot(attempts, given.out / "credit.png")
    print(report(found))
    print(json.dumps({"summary": str(given.out / "summary.json"), "plot": str(given.out / "credit.png")}))


if __name__ == "__main__":
    main()
