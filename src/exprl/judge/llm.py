"""A judge model behind an OpenAI-compatible chat endpoint.

One call a cut. Within a rollout the longest cut goes first and the others follow together: the server then has the
whole trace in its prefix cache when the shorter prefixes arrive. A problem without a worked solution is judged by its
stored answer alone; one with neither is unscored.

    score = (n - 1) / 4  of the verdict `Score: n`; all else (no verdict, HTTP error, hang) is unscored with a reason

What a policy writes is fenced and neutralised (`exprl.judge.template`), what the model replies is read strictly
(`exprl.judge.parse`), and what goes wrong on the wire is a reason (`exprl.judge.client`). No reason holds reference
text; `Verdict.raw`, the model's own words, may.

    judge = LLMJudge(LLMJudgeConfig(model="Qwen/Qwen3-4B-Instruct-2507", url="http://127.0.0.1:8000/v1"))
    verdicts = await judge.score(submissions)
    await judge.aclose()
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence

from exprl.config import LLMJudgeConfig
from exprl.judge.client import ChatClient, Failure
from exprl.judge.parse import parse_reply
from exprl.judge.template import Template, load_template, nonce_for
from exprl.types import Problem, Scope, Submission, Verdict

__all__ = ["LLMJudge"]

_SCOPES: tuple[Scope, ...] = ("outcome", "prefix", "segment")


class LLMJudge:
    """Scores 1..5 by a model's verdict.

    Args:
        config: model, endpoint, limits. The API key comes from the environment variable that it names.
        secret: what the fences' nonces are made from; random by default, so that no policy can learn it. Give one to
            make prompts equal from process to process.
    Raises:
        JudgeError: the URL or the key cannot be used.
    """

    def __init__(self, config: LLMJudgeConfig, *, secret: bytes | None = None) -> None:
        self.name = f"llm:{config.model}"
        digests = "".join(load_template(scope).digest for scope in _SCOPES)
        self.template_hash = hashlib.sha256(digests.encode()).hexdigest()
        self._secret = secrets.token_bytes(32) if secret is None else secret
        self._client = ChatClient(config)

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        """Judge a batch; see `exprl.judge.Judge.score`."""
        return list(await asyncio.gather(*(self._submission(submission) for submission in submissions)))

    async def aclose(self) -> None:
        """Close the connections, of every event loop that still runs."""
        await self._client.aclose()

    async def _submission(self, submission: Submission) -> tuple[Verdict, ...]:
        if not submission.cuts:
            return ()
        items = _items(submission)
        last = await self._item(submission, items[-1])
        return (*await asyncio.gather(*(self._item(submission, item) for item in items[:-1])), last)

    async def _item(self, submission: Submission, trace: str) -> Verdict:
        template = load_template(submission.scope)
        reference = _reference(submission.problem)
        if reference is None:
            return Verdict(None, unscored="the problem has no reference to judge by", judge=self.name)
        prompt_hash = _prompt_hash(template, submission, trace)
        nonce = nonce_for(self._secret, submission.problem.id, submission.rollout_id)
        outcome = await self._client.complete(
            template.render(problem=submission.problem.text, reference=reference, trace=trace, nonce=nonce)
        )
        if isinstance(outcome, Failure):
            return Verdict(None, unscored=outcome.reason, judge=self.name, prompt_hash=prompt_hash, usage=outcome.usage)
        grade = parse_reply(outcome.text, cut_short=outcome.cut_short)
        return Verdict(
            score=None if grade.likert is None else (grade.likert - 1) / 4,
            unscored=grade.reason,
            likert=grade.likert,
            raw=outcome.text,
            judge=self.name,
            prompt_hash=prompt_hash,
            usage=outcome.usage,
        )


def _items(submission: Submission) -> list[str]:
    """The text of each cut."""
    text, cuts = submission.text, submission.cuts
    starts = (0, *cuts[:-1]) if submission.scope == "segment" else (0,) * len(cuts)
    return [text[start:end] for start, end in zip(starts, cuts, strict=True)]


def _reference(problem: Problem) -> str | None:
    """What the judge is shown, or None. Opened here and put into the prompt only."""
    solution, answer = problem.reference.reveal()
    parts = [solution.strip()] if solution and solution.strip() else []
    if answer and answer.strip():
        parts.append(f"Final answer: {answer.strip()}")
    return "\n\n".join(parts) or None


def _prompt_hash(template: Template, submission: Submission, trace: str) -> str:
    """Identifies what was asked. The nonce stays out, so that equal questions have equal hashes in every process."""
    problem = submission.problem
    parts = (template.digest, problem.text, problem.reference.digest, trace)
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
