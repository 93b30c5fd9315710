"""The tree keeps the privilege: who opens a reference, who builds a prompt, and what is never called at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import exprl

ROOT = Path(exprl.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
# The two baselines that learn from the reference itself are controls, and open it on purpose.
OPENERS = {"judge", "verify", "baselines"}
PROMPT_BUILDERS = {"encode", "messages", "render"}
# Each of them runs what a text says; `pickle` and its kin run what a file says.
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr", "literal_eval"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "diskcache", "litellm"}


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"), str(path))))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """(name, node) of every call; a method's name alone."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                yield function.id, node
            elif isinstance(function, ast.Attribute):
                yield function.attr, node


def imported(path: Path) -> Iterator[str]:
    """Every module that is imported anywhere in a file, and every name out of it as module.name."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_a_tree_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert {place(path).partition("/")[0] for path in SOURCES} >= OPENERS | {"methods", "engines", "pipeline"}


def test_a_reference_is_opened_by_judges_verifiers_and_the_two_baselines_only() -> None:
    # By any mention, not only by a call: `map(Reference.reveal, ...)` opens it as well.
    opened = [
        place(path)
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    ]
    assert opened, "somebody must open it"
    assert [where for where in opened if where.partition("/")[0] not in OPENERS] == []
    baselines = {where for where in opened if where.startswith("baselines/")}
    assert baselines == {"baselines/sft.py", "baselines/teacher.py"}


def test_nobody_reaches_around_the_door_of_a_reference() -> None:
    assert [place(path) for path in SOURCES if "_Reference__" in path.read_text("utf-8")] == ["types.py"]
    openers = [place(path) for path in SOURCES if "exprl.types.Privileged" in set(imported(path))]
    assert [where for where in openers if where.partition("/")[0] not in OPENERS] == []


@pytest.mark.parametrize(
    "package",
    ["methods", "engines", "pipeline", "evaluate", "report", "cli", "worlds", "data", "serve", "agents", "adapters"],
)
def test_what_is_not_a_judge_does_not_even_name_what_an_opened_reference_holds(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and node.attr in {"solution", "answer", "tests"}:
                base = ast.unparse(node.value)
                assert not base.endswith("reference"), f"{place(path)}, line {node.lineno}: {base}.{node.attr}"


def test_no_text_and_no_file_is_ever_run() -> None:
    found = [
        f"{place(path)}, line {node.lineno}: {name}"
        for path in SOURCES
        for name, node in calls(path)
        # A method of that name is another thing: `model.eval()`, `re.compile()`.
        if name in FORBIDDEN_CALLS and (isinstance(node.func, ast.Name) or name in {"sympify", "parse_expr"})
    ]
    jailed = "verify/sandbox/inside/candidate.py"  # a process that has jailed itself runs its candidate
    assert [where.rpartition(": ")[2] for where in found if where.startswith(jailed)] in ([], ["exec", "compile"])
    assert [where for where in found if not where.startswith(jailed)] == []
    modules = [f"{place(path)}: {name}" for path in SOURCES for name in imported(path)]
    assert [line for line in modules if line.split(": ")[1].partition(".")[0] in FORBIDDEN_MODULES] == []
    names = FORBIDDEN_CALLS - {"compile"}
    assert [line for line in modules if line.rpartition(".")[2] in names] == []


def test_no_checkpoint_is_loaded_from_a_pickle() -> None:
    loads = [
        (path, node)
        for path in SOURCES
        for name, node in calls(path)
        if name == "load" and "torch" in ast.unparse(node)
    ]
    assert all("weights_only=True" in ast.unparse(node) for _, node in loads)
    for path in SOURCES:
        for name, node in calls(path):
            if name == "from_pretrained" and "Model" in ast.unparse(node.func):
                assert "use_safetensors=True" in ast.unparse(node), f"{place(path)}, line {node.lineno}"
            assert "trust_remote_code=True" not in ast.unparse(node).replace(" ", "")


def test_texts_from_outside_are_never_templates() -> None:
    # `str.format` walks attributes ("{0.reference}"): templates are filled by replacement.
    found = [
        f"{place(path)}, line {node.lineno}"
        for path in SOURCES
        for name, node in calls(path)
        if name in {"format", "format_map"} and isinstance(node.func, ast.Attribute)
    ]
    assert found == []


def test_methods_and_judges_build_no_policy_prompt() -> None:
    for package in ("methods", "judge", "verify", "report"):
        for path in (ROOT / package).rglob("*.py"):
            assert not any(name.startswith("exprl.prompting") for name in imported(path)), place(path)


def test_every_policy_prompt_is_built_from_a_question() -> None:
    builders = [path for path in SOURCES if any(name.startswith("exprl.prompting") for name in imported(path))]
    assert {place(path).partition("/")[0] for path in builders} <= {"engines", "evaluate", "baselines", "prompting.py"}
    given = {
        ast.unparse(node.args[0])
        for path in builders
        for name, node in calls(path)
        if name in PROMPT_BUILDERS and isinstance(node.func, ast.Name)
    }
    assert given, "somebody must build one"
    assert {argument.rpartition(".")[2] for argument in given} <= {"question", "q"}  # a Problem would be `problem`


def test_nothing_that_a_policy_reads_imports_a_judge() -> None:
    for name in ("prompting.py", "evaluate/sample/http.py", "evaluate/sample/local.py", "evaluate/sample/plan.py"):
        assert not any(module.startswith("exprl.judge") for module in imported(ROOT / name)), name
