"""One annotation of one trace, and its row in `annotations.jsonl`.

    {"key", "annotator", "taxonomy", "source", "rollout", "behaviours": [...], "archetype": "counting", "why": null}

An annotation is either made or missing with a reason (`why`); a missing one is never read as "shows nothing". A row is known
by its `key`: a digest of the annotator with its settings, the taxonomy, the problem and the trace. Rollouts with the same
problem and text share a row (it names the first of them). Of several rows with a key the last made one counts, so a
file that is appended to for ever stays right. No row holds text of a trace or a reply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exprl.evaluate.behave.taxonomy import ARCHETYPE_NAMES, BEHAVIOUR_NAMES, DIGEST, NONE
from exprl.runs import iter_jsonl

__all__ = ["Annotation", "Trace", "known"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What an annotator sees: a problem's text ("" where it is not known), and one rollout. No reference."""

    source: str
    rollout: str
    question: str
    problem: str
    text: str

    def key(self, annotator: str) -> str:
        """Identifies the annotation of this trace by an annotator (its `identity`)."""
        digest = hashlib.sha256()
        for part in (annotator, DIGEST, self.question, self.problem, self.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The behaviours shown and the archetype ("none": cannot be told); or `why` there is no annotation."""

    behaviours: frozenset[str] = frozenset()
    archetype: str = NONE
    why: str | None = None

    def row(self, key: str, annotator: str, trace: Trace) -> dict[str, object]:
        """As a line of `annotations.jsonl`."""
        made = self.why is None
        return {
            "key": key,
            "annotator": annotator,
            "taxonomy": DIGEST,
            "source": trace.source,
            "rollout": trace.rollout,
            "behaviours": [name for name in BEHAVIOUR_NAMES if name in self.behaviours] if made else None,
            "archetype": self.archetype if made else None,
            "why": self.why,
        }


def known(path: Path) -> dict[str, Annotation]:
    """The annotations that a file holds, by key; missing ones and rows that are none of ours are passed over."""
    found = ((row.get("key"), _read(row)) for row in iter_jsonl(path))
    return {key: annotation for key, annotation in found if isinstance(key, str) and annotation is not None}


def _read(row: Mapping[str, object]) -> Annotation | None:
    behaviours, archetype = row.get("behaviours"), row.get("archetype")
    if row.get("taxonomy") != DIGEST or not isinstance(behaviours, list) or not isinstance(archetype, str):
        return None
    if archetype not in (*ARCHETYPE_NAMES, NONE) or any(name not in BEHAVIOUR_NAMES for name in behaviours):
        return None
    return Annotation(frozenset(behaviours), archetype)
