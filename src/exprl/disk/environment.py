"""What a run ran on, without who ran it and where: no user, host or path names, no environment variables.

>>> environment()["packages"]["exprl"]  # doctest: +SKIP
'0.1.0'
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

__all__ = ["Environment", "environment"]

_PACKAGES = (
    *("exprl", "numpy", "pydantic", "aiohttp", "torch", "transformers", "trl", "peft", "accelerate", "datasets"),
    *("vllm", "math-verify", "sympy", "latex2sympy2_extended"),
)


class Environment(TypedDict):
    """The content of `environment.json`; a package that is not installed has no version."""

    python: str
    implementation: str
    system: str
    release: str
    machine: str
    cpus: int
    packages: dict[str, str]


def environment() -> Environment:
    """Describe the interpreter, the machine and the packages that a result may depend on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": usable or 1,
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
