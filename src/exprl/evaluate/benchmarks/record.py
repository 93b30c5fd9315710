"""What the samples of a benchmark were drawn with, kept beside them, so that no call mixes samples of two kinds.

    <out>/<benchmark>/ settings.json samples.jsonl summary.json

`settings.json` holds the model, the prompt, temperature, token budget, seed and verifier, and a hash of every problem with
its reference. A later call may ask for more samples, more problems or other servers; another value of anything in the
record is refused, and so is a problem that reads differently now.

    >>> check_record(Path("evals/m/aime26"), record)  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from exprl.errors import RunError
from exprl.runs import read_json, write_json
from exprl.types import Problem

__all__ = ["Record", "check_record", "problem_hashes", "write_record"]

Record = Mapping[str, str | int | float | None]

_FILE = "settings.json"
_SHOWN = 60


def problem_hashes(problems: Sequence[Problem]) -> dict[str, str]:
    """By id, the first 16 digits of SHA-256 over question and reference."""
    return {
        problem.id: hashlib.sha256(f"{problem.text}\0{problem.reference.digest}".encode()).hexdigest()[:16]
        for problem in problems
    }


def check_record(folder: Path, record: Record, hashes: Mapping[str, str]) -> None:
    """Refuse to add to samples that were drawn otherwise; a folder without samples is free.

    Raises:
        RunError: naming every setting that differs, or the problems that have changed.
    """
    if not (folder / "samples.jsonl").exists():
        return
    if not (folder / _FILE).exists():
        raise RunError(f"{folder} holds samples without {_FILE}: nothing says what they are; give another --out")
    stored = read_json(folder / _FILE)
    if differing := [key for key in record if stored.get(key) != record[key]]:
        said = "; ".join(f"{key}: {_shown(stored.get(key))} there, {_shown(record[key])} now" for key in differing)
        raise RunError(
            f"{folder} holds samples that were drawn with other settings ({said}); give another --out, or delete that "
            "folder to begin again"
        )
    known = stored.get("problems")
    changed = [name for name, seen in hashes.items() if isinstance(known, dict) and known.get(name, seen) != seen]
    if changed:
        raise RunError(
            f"{folder} holds samples of other editions of {len(changed)} problems ({', '.join(changed[:5])}); give "
            "another --out"
        )


def write_record(folder: Path, record: Record, hashes: Mapping[str, str]) -> None:
    """Write the record, or add to it the problems that are new."""
    known = read_json(folder / _FILE).get("problems") if (folder / _FILE).exists() else None
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _FILE, {**record, "problems": {**(known if isinstance(known, dict) else {}), **hashes}})


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
