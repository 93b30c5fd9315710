"""What all tests share: nothing is fetched, one thread, a cache of the session's own, and options for the long ones."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Set before anything imports torch or a Hub client, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"  # one thread is fastest for tiny models, and torch's sums are then always the same
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
for _key in ("EXPRL_JUDGE_API_KEY", "EXPRL_POLICY_API_KEY"):
    os.environ.pop(_key, None)

# A machine that is busy with something else is no reason to fail.
settings.register_profile("exprl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("exprl")

_LONG = {
    "slow": "takes longer than a few seconds; run it with --slow",
    "gpu": "needs a CUDA device; run it with --gpu on a machine that has one",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, reason in _LONG.items():
        parser.addoption(f"--{name}", action="store_true", help=f"run the tests marked {name} as well: each {reason}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CACHE] = Path(tempfile.mkdtemp(prefix="exprl-test-cache-"))
    os.environ["EXPRL_CACHE"] = str(config.stash[_CACHE])  # the user's own cache stays as it is


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name, reason in _LONG.items():
            if item.get_closest_marker(name) is not None and not config.getoption(f"--{name}"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def strict_sandbox() -> None:
    """Programs can be run here with every layer of isolation; skips, saying why, where they cannot."""
    from exprl.errors import SandboxError
    from exprl.verify.sandbox import open_sandbox

    try:
        open_sandbox().close()
    except SandboxError as error:
        pytest.skip(f"no strict sandbox here: {error}")


_CACHE = pytest.StashKey[Path]()
