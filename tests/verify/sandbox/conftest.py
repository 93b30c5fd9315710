"""One strict jail for the tests of this folder; they skip, saying why, where a layer is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exprl.errors import SandboxError
from exprl.verify.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="session")
def jail() -> Iterator[Sandbox]:
    try:
        sandbox = open_sandbox(workers=2)
    except SandboxError as error:
        pytest.skip(f"no strict sandbox here: {error}")
    yield sandbox
    sandbox.close()
