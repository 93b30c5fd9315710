"""A judge model behind an OpenAI-compatible chat endpoint.

    score = (n - 1) / (K - 1)  of the last verdict in its reply; all else (no verdict, HTTP error, hang) is unscored with
                               a reason, never a low score

What it asks is data (`asking.rubric`); what a policy writes is fenced and neutralised (`asking.template`); what the model
replies is read strictly (`asking.parse`). Prefixes come by their scores in one of three ways (`asking.prefixes`). Verdicts
are kept (`store.cache`) and paid for (`store.ledger`) in `judge.sqlite` of the run's folder; once the cost limit is
reached, the rest is unscored and says so.

The order of calls is made for a server's prefix cache. Of a rollout, the longest prefix goes first. Of a problem with
several rollouts in a batch, one call goes first, alone: when the others come, problem and reference are in the cache. All
calls of a problem go to the same endpoint, or where that has more than its share to the next one, whole traces at a time.

A problem without a worked solution is judged by its stored answer alone; one with neither is unscored, unless the rubric
does without. No reason and no note holds reference text; `Verdict.raw`, the model's own words, may.

    judge = LLMJudge(LLMJudgeConfig(model="Qwen/Qwen3-4B-Instruct-2507", url="http://127.0.0.1:8000/v1"))
    verdicts = await judge.score(submissions)
    await judge.aclose()
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from exprl.config import LLMJudgeConfig
from exprl.judge.asking.expected import mean_verdict
from exprl.judge.asking.prefixes import bisect, each, once
from exprl.judge.asking.question import Question, digest_of, shown_reference
from exprl.judge.asking.rubric import Rubrics
from exprl.judge.asking.template import LAYOUT
from exprl.judge.http.client import ChatClient
from exprl.judge.http.wire import Ask, Failure, Reply
from exprl.judge.store.cache import VerdictCache
from exprl.judge.store.ledger import Ledger, Prices, Spend
from exprl.types import Submission, Verdict

__all__ = ["LLMJudge"]

_FILE = "judge.sqlite"


class _Client(Protocol):
    """What is asked of a chat client."""

    async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply | Failure: ...

    async def identity(self) -> str: ...

    async def aclose(self) -> None: ...


class _Batch(NamedTuple):
    """What the calls of one rollout in a batch share: when to give up, and whom to tell that the first call is done."""

    deadline: float | None
    opened: asyncio.Event


class LLMJudge:
    """Scores 1..K by a model's verdict.

    Args:
        config: model, endpoints, rubrics, limits. The API key comes from the environment variable that it names.
        store: the run's folder, for verdicts and costs; without it nothing is kept, unless `config.cache` is a path.
        secret: what the fences' nonces are made from; random by default, so that no policy can learn it. Give one to
            make prompts equal from process to process.
        client: who asks; default: one for `config`.
    Raises:
        JudgeError: a URL, the key or a rubric cannot be used.
    """

    def __init__(
        self,
        config: LLMJudgeConfig,
        *,
        store: Path | None = None,
        secret: bytes | None = None,
        client: _Client | None = None,
    ) -> None:
        self.name = f"llm:{config.model}"
        self._config = config
        self._rubrics = Rubrics.of(config)
        self._secret = secrets.token_bytes(32) if secret is None else secret
        self._client: _Client = ChatClient(config) if client is None else client
        kept = _cache_file(config, store)
        self._keeps = kept is not None
        self._cache = VerdictCache.open(kept)
        account = None if store is None else store / _FILE
        self._ledger = Ledger.open(account, prices=Prices.of(config), limit=config.cost_limit)

    @property
    def template_hash(self) -> str:
        """Identifies what scores depend on besides model and sampling: rubrics, layout, and how replies are read."""
        config = self._config
        reading = (config.structured, config.samples, config.expected, config.prefixes, config.trace_limit)
        return digest_of((LAYOUT, self._rubrics.digest, *map(str, reading)))

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        """Judge a batch; see `exprl.judge.Judge.score`."""
        limit = self._config.batch_timeout
        deadline = None if limit is None else time.monotonic() + limit
        groups: dict[tuple[str, str], list[int]] = {}
        for place, submission in enumerate(submissions):
            groups.setdefault((submission.problem.id, submission.scope), []).append(place)
        judged = await asyncio.gather(
            *(self._problem([submissions[place] for place in places], deadline) for places in groups.values())
        )
        found = dict(zip(chain.from_iterable(groups.values()), chain.from_iterable(judged), strict=True))
        return [found[place] for place in range(len(submissions))]

    def spent(self) -> Spend:
        """What this judge has cost, with earlier parts of the run and other processes."""
        return self._ledger.spent()

    async def aclose(self) -> None:
        """Close the connections, of every event loop that still runs, and the files."""
        await self._client.aclose()
        self._cache.close()
        self._ledger.close()

    async def _problem(self, rollouts: list[Submission], deadline: float | None) -> list[tuple[Verdict, ...]]:
        """All rollouts of one problem: the first call alone, then everything."""
        batch = _Batch(deadline, asyncio.Event())
        if len(rollouts) == 1:
            return [await self._rollout(rollouts[0], batch)]

        async def later(rollout: Submission) -> tuple[Verdict, ...]:
            await batch.opened.wait()
            return await self._rollout(rollout, batch)

        return await asyncio.gather(self._rollout(rollouts[0], batch), *map(later, rollouts[1:]))

    async def _rollout(self, submission: Submission, batch: _Batch) -> tuple[Verdict, ...]:
        try:
            rubric = self._rubrics.pick(submission.problem.domain, submission.scope)
            if rubric.reference and shown_reference(submission.problem) is None:
                missing = Verdict(None, unscored="the problem has no reference to judge by", judge=self.name)
                return (missing,) * len(submission.cuts)
            return await self._cuts(submission, partial(Question, submission, rubric, config=self._config), batch)
        finally:
            batch.opened.set()

    async def _cuts(self, submission: Submission, question: partial[Question], batch: _Batch) -> tuple[Verdict, ...]:
        count = len(submission.cuts)
        mode = self._config.prefixes if submission.scope == "prefix" and count > 1 else "each"
        if mode == "once":
            whole = question(parts=_pieces(submission), together=True)
            samples = [once(sample, count, whole.rubric) for sample in await self._samples(whole, batch)]
            return tuple(map(mean_verdict, zip(*samples, strict=True)))

        async def ask(place: int) -> Verdict:
            start = submission.cuts[place - 1] if place and submission.scope == "segment" else 0
            text = submission.text[start : submission.cuts[place]]
            return mean_verdict(await self._samples(question(parts=(text,), together=False), batch))

        return await (bisect if mode == "bisect" else each)(count, ask)

    async def _samples(self, question: Question, batch: _Batch) -> list[Verdict]:
        """One verdict a sample: the first call alone, then the others together."""
        first = await self._kept(question, 0, batch)
        batch.opened.set()
        if self._config.samples == 1:
            return [first]
        others = (self._kept(question, replicate, batch) for replicate in range(1, self._config.samples))
        return [first, *await asyncio.gather(*others)]

    async def _kept(self, question: Question, replicate: int, batch: _Batch) -> Verdict:
        config = self._config
        identity = await self._client.identity() if self._keeps else ""
        sampling = (
            config.temperature,
            config.max_tokens,
            config.structured,
            config.expected,
            config.samples,
            replicate,
        )
        key = digest_of((config.model, identity, repr(sampling), question.hash))
        return await self._cache.fetch(key, partial(self._asked, question, replicate, batch.deadline))

    async def _asked(self, question: Question, replicate: int, deadline: float | None) -> Verdict:
        if (reason := self._ledger.reason()) is not None:
            return Verdict(None, unscored=reason, judge=self.name, prompt_hash=question.hash)
        messages, left_out = question.messages(self._secret)
        ask = Ask(
            messages,
            route=question.submission.problem.id,
            trace=hash(question.submission.text),
            response_format=question.response_format(),
            logprobs=self._config.expected and not question.together,
            seed=replicate if self._config.samples > 1 else None,
        )
        outcome = await self._client.complete(ask, deadline=deadline)
        self._ledger.charge(outcome.usage, self.name)
        if isinstance(outcome, Failure):
            return Verdict(
                None, unscored=outcome.reason, judge=self.name, prompt_hash=question.hash, usage=outcome.usage
            )
        return question.verdict(outcome, left_out, self.name)


def _pieces(submission: Submission) -> tuple[str, ...]:
    """The trace between its cuts."""
    starts = (0, *submission.cuts[:-1])
    return tuple(submission.text[start:end] for start, end in zip(starts, submission.cuts, strict=True))


def _cache_file(config: LLMJudgeConfig, store: Path | None) -> Path | None:
    if isinstance(config.cache, str):
        return Path(config.cache)
    return store / _FILE if config.cache and store is not None else None
