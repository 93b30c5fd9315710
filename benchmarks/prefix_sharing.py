"""What judging the prefixes of a rollout costs in prefill, where the server keeps the prefill of prefixes.

8,192-token rollouts with 8 prefixes each, 16 rollouts a problem, a reference of 2,048 tokens, through a simulated prefix cache
of 16-token blocks: a call finds what calls before it have left, never what goes out at the same time. The prompts are
exprl's own, sent by its judge in its own order; tokens are those of a byte-level BPE, trained here on generated text and
the rubrics (nothing is downloaded).

    naive      instruction, problem, trace, reference in one turn, all calls at once: nothing is there to be found
    naive, in order   the same prompts one rollout after the other, longest prefix first, so that traces are found
    exprl      the layout of `exprl.judge.asking.template`
    floor      (S + Q + R) / G + T + P (I + (B - 1) / 2) a rollout: what must be prefilled once, each instruction, and half
               a block a cut; S system, Q problem, R reference, T fenced trace, I all that follows the trace

How many times fewer than naive depends on the sizes, above all on the reference: with one of 1,024 tokens in place of 2,048
it is 4.6 times, which misses the goal; the distance to the floor stays the same. Much of it is due to the order of calls:
the second row shows what is left of it where the naive way has the cache and the order too.

With --server the same two ways go to a real OpenAI-compatible server, in smaller sizes, and the numbers are what the server
reports: tokens, cached tokens, seconds, and with --pid its CPU seconds. A server's cache may serve the naive way, too.

    python benchmarks/prefix_sharing.py [--tokens 8192] [--prefixes 8] [--rollouts 16] [--problems 1]
    python benchmarks/prefix_sharing.py --server http://127.0.0.1:8000/v1 --model NAME [--pid 1234]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from exprl.config import LLMJudgeConfig
from exprl.judge import LLMJudge
from exprl.judge.asking.rubric import load_rubric, shipped_rubrics
from exprl.judge.asking.template import fenced, instruction, render, system
from exprl.judge.http.client import ChatClient
from exprl.judge.http.wire import Ask, Message, Reply
from exprl.types import Problem, Reference, Submission, Usage
from replica import BLOCK, PrefixCache

FLOOR_GOAL, NAIVE_GOAL = 1.05, 5.0
RUBRIC = load_rubric("prefix")
PROBLEM_TOKENS, REFERENCE_TOKENS = 256, 2048
NONCE = "0123456789abcdef"


class Size(NamedTuple):
    """How many problems, rollouts a problem, tokens a rollout, prefixes a rollout."""

    problems: int
    rollouts: int
    tokens: int
    prefixes: int


def write_prose(rng: random.Random, sentences: int) -> str:
    """Sums in sentences, about five to a line."""
    nouns = ["sum", "angle", "prime", "root", "bound", "case", "lemma", "limit", "integral", "≤-chain"]
    verbs = ["gives", "is", "bounds", "so we check", "hence", "wait,", "therefore", "which means"]
    return "".join(
        f"The {rng.choice(nouns)} {rng.choice(verbs)} {rng.randrange(1000)} + {rng.randrange(100)}."
        + (" " if rng.random() < 0.8 else "\n")
        for _ in range(sentences)
    )


def train_tokenizer(rng: random.Random) -> Tokenizer:
    """A byte-level BPE with the two marks of a common chat template. Knows the rubrics' words, as a large one would."""
    rubrics = [load_rubric(name) for name in shipped_rubrics()]
    wording = [f"{system(rubric)}\n{instruction(rubric, 'line')}" for rubric in rubrics]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([write_prose(rng, 4000), *(wording * 20)], trainer)
    return tokenizer


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """The token ids that a server would prefill."""
    turns = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)
    ids: list[int] = tokenizer.encode(f"{turns}<|im_start|>assistant\n").ids
    return ids


class SimulatedServer:
    """Counts the tokens of the calls that it is sent, and what its cache spares them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._cache = PrefixCache()
        self.usage = Usage()

    async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply:
        """Looks into the cache at the beginning of a call and adds to it at the end."""
        ids = encode_chat(self._tokenizer, ask.messages)
        usage = Usage(1, len(ids), 2, self._cache.found(ids))
        for _ in range(5):  # let all that is sent together come in first
            await asyncio.sleep(0)
        self._cache.keep(ids)
        self.usage += usage
        return Reply("Score: 3", False, usage)

    async def identity(self) -> str:
        return ""

    async def aclose(self) -> None: ...


def make_submissions(tokenizer: Tokenizer, size: Size, seed: int | str) -> list[Submission]:
    """Rollouts of about the wanted length, cut at markers into pieces of about equal length."""
    rng = random.Random(seed)

    def text_of(tokens: int) -> str:
        encoding = tokenizer.encode(write_prose(rng, tokens // 6))
        assert len(encoding.ids) > tokens
        text: str = tokenizer.decode(encoding.ids[:tokens])
        return text

    found = []
    for number in range(size.problems):
        problem = Problem(
            f"p{number}", f"{seed}: {text_of(PROBLEM_TOKENS)}", Reference(text_of(REFERENCE_TOKENS), str(number))
        )
        for rollout in range(size.rollouts):
            pieces = [f"{text_of(size.tokens // size.prefixes - 4)}\n###\n" for _ in range(size.prefixes)]
            cuts = tuple(len("".join(pieces[: place + 1])) for place in range(size.prefixes))
            found.append(Submission(problem, f"r{rollout}", "".join(pieces), cuts, "prefix"))
    return found


def naive_asks(submission: Submission) -> list[Ask]:
    """One call a prefix, longest first: what is the same in all calls of a problem, the reference, comes last."""
    solution = submission.problem.reference.reveal().solution
    told = f"{RUBRIC.system}\n\n{instruction(RUBRIC, 'line')}\n\n### Problem\n{submission.problem.text}\n\n### Trace\n"
    prompts = [f"{told}{submission.text[:cut]}\n\n### Reference\n{solution}" for cut in reversed(submission.cuts)]
    return [Ask([{"role": "user", "content": prompt}], route=submission.problem.id) for prompt in prompts]


@dataclass(frozen=True)
class Parts:
    """Tokens of the parts of exprl's prompts, means over rollouts."""

    head: float  # S + Q + R
    trace: float  # T
    raw: float  # the trace without fence and marks
    tail: float  # I

    def floor(self, size: Size) -> float:
        """The least prefill of one rollout."""
        return self.head / size.rollouts + self.trace + size.prefixes * (self.tail + (BLOCK - 1) / 2)


def measure_parts(tokenizer: Tokenizer, submissions: Sequence[Submission]) -> Parts:
    """Measured on whole traces, from what the template renders."""
    head = trace = raw = tail = 0.0
    for submission in submissions:
        solution, answer, _ = submission.problem.reference.reveal()
        messages = render(
            RUBRIC,
            problem=submission.problem.text,
            reference=f"{solution}\n\nFinal answer: {answer}",
            fence=fenced(submission.text, NONCE, 10**9).text,
        )
        context = messages[1]["content"]
        start, end = context.index(f"<<<trace {NONCE}"), context.index(f"\n>>>end of trace {NONCE}")
        before = f"<|im_start|>system\n{messages[0]['content']}<|im_end|>\n<|im_start|>user\n{context[:start]}"
        head += len(tokenizer.encode(before).ids)
        trace += len(tokenizer.encode(context[start:end]).ids)
        raw += len(tokenizer.encode(submission.text).ids)
        tail += len(encode_chat(tokenizer, messages))
    count = len(submissions)
    return Parts(head / count, trace / count, raw / count, (tail - head - trace) / count)


def judge_config(url: str, model: str, concurrency: int) -> LLMJudgeConfig:
    """A judge that says little: prefill is what is measured."""
    return LLMJudgeConfig(
        model=model, url=url, concurrency=concurrency, max_tokens=4, cache=False, trace_limit=10**9, timeout=600.0
    )


async def simulate(tokenizer: Tokenizer, size: Size) -> int:
    """Print the table; 1 where a goal is missed."""
    submissions = make_submissions(tokenizer, size, 0)
    servers = {name: SimulatedServer(tokenizer) for name in ("naive", "naive, in order", "exprl")}
    await asyncio.gather(*(servers["naive"].complete(ask) for one in submissions for ask in naive_asks(one)))
    for one in submissions:
        for ask in naive_asks(one):
            await servers["naive, in order"].complete(ask)
    judge = LLMJudge(judge_config("http://127.0.0.1:9/v1", "simulated", 64), client=servers["exprl"])
    await judge.score(submissions)

    parts = measure_parts(tokenizer, submissions)
    floor, count = parts.floor(size), len(submissions)
    print(
        f"{size.problems} problem(s) x {size.rollouts} rollouts x {size.tokens} tokens x {size.prefixes} prefixes, blocks of "
        f"{BLOCK}; S+Q+R = {parts.head:.0f}, T = {parts.trace:.0f} ({parts.raw:.0f} without marks), I = {parts.tail:.0f}"
    )
    print(f"{'way':<18}{'tokens sent':>13}{'prefilled':>11}{'times floor':>13}   a rollout")
    prefilled = {}
    for name, server in servers.items():
        usage = server.usage
        prefilled[name] = (usage.prompt_tokens - usage.cached_tokens) / count
        print(f"{name:<18}{usage.prompt_tokens / count:>13.0f}{prefilled[name]:>11.0f}{prefilled[name] / floor:>13.3f}")
    print(f"{'floor':<18}{'':>13}{floor:>11.0f}{1:>13.3f}")
    over, fewer = prefilled["exprl"] / floor, prefilled["naive"] / prefilled["exprl"]
    good = over <= FLOOR_GOAL and fewer >= NAIVE_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {over:.3f} of the floor (goal <= {FLOOR_GOAL}), "
        f"{fewer:.1f} times fewer than naive (goal >= {NAIVE_GOAL:g})"
    )
    return 0 if good else 1


class Measured(NamedTuple):
    """What one way cost on a real server."""

    usage: Usage
    failed: int
    wall: float
    cpu: float | None

    @property
    def prefilled(self) -> int:
        """Tokens that the cache did not hold."""
        return self.usage.prompt_tokens - self.usage.cached_tokens


def cpu_seconds(pid: int | None) -> float | None:
    """User and system seconds of a process and its threads so far, where the machine tells."""
    stat = Path(f"/proc/{pid}/stat")
    if pid is None or not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


async def by_naive(config: LLMJudgeConfig, submissions: Sequence[Submission]) -> tuple[Usage, int]:
    """All calls at once, as many in flight as allowed."""
    client = ChatClient(config)
    replies = await asyncio.gather(*(client.complete(ask) for one in submissions for ask in naive_asks(one)))
    await client.aclose()
    return sum((reply.usage for reply in replies), Usage()), sum(not isinstance(reply, Reply) for reply in replies)


async def by_exprl(config: LLMJudgeConfig, submissions: Sequence[Submission]) -> tuple[Usage, int]:
    """exprl's judge. A reply that the small token limit cut short is unscored here, and its cost counts all the same."""
    judge = LLMJudge(config)
    verdicts = [verdict for row in await judge.score(submissions) for verdict in row]
    await judge.aclose()
    failed = sum(verdict.usage.prompt_tokens == 0 for verdict in verdicts)
    return sum((verdict.usage for verdict in verdicts), Usage()), failed


async def measure(tokenizer: Tokenizer, size: Size, config: LLMJudgeConfig, pid: int | None) -> int:
    """Print the table of a real server; 1 where exprl's way prefills no fewer tokens."""
    print(f"{size.problems} problem(s) x {size.rollouts} rollouts x {size.tokens} tokens x {size.prefixes} prefixes")
    print(
        f"{'way':<8}{'calls':>7}{'failed':>8}{'tokens sent':>13}{'cached':>10}{'prefilled':>11}{'wall s':>9}{'CPU s':>9}"
    )
    rows = {}
    for name, way in (("naive", by_naive), ("exprl", by_exprl)):
        submissions = make_submissions(tokenizer, size, f"{name}-{secrets.token_hex(4)}")  # cold, on a warm server too
        wall, cpu = time.perf_counter(), cpu_seconds(pid)
        usage, failed = await way(config, submissions)
        wall, after = time.perf_counter() - wall, cpu_seconds(pid)
        row = rows[name] = Measured(usage, failed, wall, None if cpu is None or after is None else after - cpu)
        print(
            f"{name:<8}{usage.calls:>7}{failed:>8}{usage.prompt_tokens:>13}{usage.cached_tokens:>10}{row.prefilled:>11}"
            f"{row.wall:>9.1f}{'-' if row.cpu is None else format(row.cpu, '.1f'):>9}"
        )
    fewer = rows["naive"].prefilled / max(rows["exprl"].prefilled, 1)
    good = fewer > 1 and not rows["naive"].failed and not rows["exprl"].failed
    print(
        f"{'ok' if good else 'MISSED'}: {fewer:.2f} times fewer tokens prefilled than naive (goal > 1, no call failed)"
    )
    return 0 if good else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, or measure a server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", help="base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--model", default="default", help="the model's name there")
    parser.add_argument("--pid", type=int, help="the server's process, to read its CPU seconds")
    parser.add_argument("--concurrency", type=int, default=8, help="calls in flight at the server")
    parser.add_argument("--tokens", type=int, help="tokens of a rollout (8192; with --server 1024)")
    parser.add_argument("--prefixes", type=int, help="prefixes of a rollout (8; with --server 4)")
    parser.add_argument("--rollouts", type=int, help="rollouts of a problem (16; with --server 4)")
    parser.add_argument("--problems", type=int, default=1)
    given = parser.parse_args(arguments)
    size = Size(
        given.problems,
        given.rollouts or (4 if given.server else 16),
        given.tokens or (1024 if given.server else 8192),
        given.prefixes or (4 if given.server else 8),
    )
    tokenizer = train_tokenizer(random.Random(0))
    if given.server:
        config = judge_config(given.server, given.model, given.concurrency)
        return asyncio.run(measure(tokenizer, size, config, given.pid))
    return asyncio.run(simulate(tokenizer, size))


if __name__ == "__main__":
    sys.exit(main())
