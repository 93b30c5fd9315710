"""One question to a judge model: what it shows, how it is identified, and what its reply is worth.

    rollout -> Question (a prefix, a segment, or all parts of a trace) -> messages, key -> Reply -> Verdict

Pure: nothing is sent here. A question knows its hash without being rendered, so a stored verdict costs no rendering. The
nonce is in the prompt and not in the hash: equal questions have equal hashes in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from exprl.config import LLMJudgeConfig
from exprl.judge.asking.expected import expected_grade
from exprl.judge.asking.parse import parse_reply, parse_scores, scores_format, verdict_format
from exprl.judge.asking.rubric import Rubric
from exprl.judge.asking.template import LAYOUT, Form, Message, columns_of, fenced, fenced_parts, nonce_for, render
from exprl.judge.http.wire import Reply
from exprl.types import Problem, Submission, Verdict

__all__ = ["Question", "digest_of", "shown_reference"]


def shown_reference(problem: Problem) -> str | None:
    """What a judge is shown, or None where there is nothing. Opened here and put into the prompt only."""
    solution, answer, _ = problem.reference.reveal()
    parts = [solution.strip()] if solution and solution.strip() else []
    if answer and answer.strip():
        parts.append(f"Final answer: {answer.strip()}")
    return "\n\n".join(parts) or None


def digest_of(parts: Iterable[str]) -> str:
    """SHA-256 over texts, each with its length before it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Question:
    """What one call asks about one rollout: a single text, or the `parts` of a trace that are graded together."""

    submission: Submission
    rubric: Rubric
    parts: tuple[str, ...]
    together: bool
    config: LLMJudgeConfig

    @property
    def form(self) -> Form:
        """How the verdict is asked for."""
        if self.together:
            return "parts"
        return "json" if self.config.structured else "line"

    @cached_property
    def hash(self) -> str:
        """Identifies all that the model reads, but for the nonce."""
        problem, rubric = self.submission.problem, self.rubric
        return digest_of(
            (
                LAYOUT,
                rubric.digest,
                self.form,
                str(self.config.trace_limit),
                problem.domain,
                self.submission.scope,
                columns_of(rubric, problem),
                problem.text,
                problem.reference.digest if rubric.reference else "",
                *self.parts,
            )
        )

    def messages(self, secret: bytes) -> tuple[list[Message], int]:
        """The chat, and how many characters of the trace it leaves out."""
        problem = self.submission.problem
        nonce = nonce_for(secret, problem.id, self.submission.rollout_id)
        limit = self.config.trace_limit
        fence = fenced_parts(self.parts, nonce, limit) if self.together else fenced(self.parts[0], nonce, limit)
        chat = render(
            self.rubric,
            problem=problem.text,
            fence=fence.text,
            reference=shown_reference(problem) if self.rubric.reference else None,
            columns=columns_of(self.rubric, problem),
            form=self.form,
            count=len(self.parts),
        )
        return chat, fence.left_out

    def response_format(self) -> Mapping[str, object] | None:
        """What the server is to enforce."""
        if not self.config.structured:
            return None
        scale = self.rubric.scale
        return scores_format(len(self.parts), scale) if self.together else verdict_format(scale)

    def verdict(self, reply: Reply, left_out: int, judge: str) -> Verdict:
        """What a reply is worth. That of `together` has the score of the whole; the others are in its words."""
        score, likert, reason, note = self._graded_together(reply) if self.together else self._graded(reply)
        cut = f"{left_out} characters were left out of the trace's middle" if left_out else ""
        return Verdict(
            score=score,
            unscored=reason,
            likert=likert,
            raw=reply.text,
            judge=judge,
            prompt_hash=self.hash,
            usage=reply.usage,
            note="; ".join(part for part in (cut, note) if part),
        )

    def _graded(self, reply: Reply) -> tuple[float | None, int | None, str | None, str]:
        rubric = self.rubric
        grade = parse_reply(reply.text, scale=rubric.scale, cut_short=reply.cut_short)
        if grade.likert is None or not self.config.expected:
            return None if grade.likert is None else rubric.score(grade.likert), grade.likert, grade.reason, ""
        mean = expected_grade(reply.text, grade.at, reply.tokens, rubric.scale)
        if mean is None:
            return (
                rubric.score(grade.likert),
                grade.likert,
                None,
                "no probabilities for the grade; it counts as written",
            )
        return min(max(rubric.score(mean), 0.0), 1.0), grade.likert, None, ""

    def _graded_together(self, reply: Reply) -> tuple[float | None, int | None, str | None, str]:
        grades = parse_scores(reply.text, len(self.parts), scale=self.rubric.scale, cut_short=reply.cut_short)
        if grades.likerts is None:
            return None, None, grades.reason, ""
        note = "grades given together count as written" if self.config.expected else ""
        return self.rubric.score(grades.likerts[-1]), grades.likerts[-1], None, note
