"""One finished run, with a judge that quotes what it is shown, for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from tiny_run import MARKS, canary, exprl, judge_server, save_policy, says, write_config, write_problems


@dataclass(frozen=True)
class Finished:
    """A run from the command line, and what was seen of it."""

    config: Path
    stdout: str
    stderr: str
    environments: bytes

    @property
    def path(self) -> Path:
        return self.config.parent / "runs" / "tiny"


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    problems = write_problems(folder / "problems.jsonl", canary)
    seen: list[bytes] = []

    def reply(prompt: str) -> web.Response:
        assert MARKS[0] in prompt
        seen.append(process_environments())
        return says(f"The reference holds {MARKS[0]} and ends in {MARKS[1]}.\n\nScore: {1 + len(prompt) % 5}")

    with judge_server(reply) as judge:
        config = write_config(folder / "run.toml", policy, problems, arms=("process",), judge=judge)
        done = exprl("run", config)
    assert done.returncode == 0, done.stderr
    return Finished(config, done.stdout, done.stderr, b"".join(seen))


def process_environments() -> bytes:
    """Environments and command lines of all processes that can be looked into (on Linux), this one's own left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                found.append((folder / name).read_bytes())
            except OSError:
                continue  # gone, or another user's
    return b"\0".join(found)
