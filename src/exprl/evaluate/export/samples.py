"""What an export is made of: the questions, and the rows of a samples file by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exprl.config import PromptConfig
from exprl.prompting import Message, messages
from exprl.runs import iter_jsonl
from exprl.types import Question

__all__ = ["REDACTED", "Samples"]

REDACTED = "<redacted>"


@dataclass(frozen=True, slots=True)
class Samples:
    """One benchmark's samples of one model. `metrics` are `summary.json`'s."""

    name: str
    origin: str
    folder: Path
    model: str
    questions: Sequence[Question]
    prompt: PromptConfig
    n: int
    temperature: float
    max_tokens: int
    seed: int
    metrics: Mapping[str, object]

    def rows(self) -> dict[str, list[dict[str, object]]]:
        """The first n rows of every question, in the order of their numbers."""
        found: dict[str, list[dict[str, object]]] = {question.id: [] for question in self.questions}
        for row in iter_jsonl(self.folder / "samples.jsonl"):
            if (name := str(row["question_id"])) in found and int(str(row["sample"])) < self.n:
                found[name].append(row)
        return {name: sorted(rows, key=lambda row: int(str(row["sample"]))) for name, rows in found.items()}

    def messages(self, question: Question) -> list[Message]:
        """What the policy was asked."""
        return messages(question, self.prompt)

    def time(self) -> datetime:
        """When the last sample was written: the same for every export of the same samples."""
        return datetime.fromtimestamp((self.folder / "samples.jsonl").stat().st_mtime, UTC)
