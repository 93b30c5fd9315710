"""An example or a benchmark by its name, loaded as a module of that name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
EXAMPLES, BENCHMARKS = ROOT / "examples", ROOT / "benchmarks"


def load(name: str, folder: Path = EXAMPLES) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def loaded_benchmark(name: str) -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))  # as it is for a script; benchmarks share modules
    yield load(name, BENCHMARKS)
    del sys.modules[name]
    sys.path.remove(str(BENCHMARKS))
