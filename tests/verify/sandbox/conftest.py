"""One strict jail for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exprl.verify.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="session")
def jail(strict_sandbox: None) -> Iterator[Sandbox]:
    sandbox = open_sandbox(workers=2)
    yield sandbox
    sandbox.close()
