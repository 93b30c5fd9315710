"""The registry is well formed, its files hold what it says, and rows of other forms are brought to ours."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import ColumnMap
from exprl.errors import ConfigError, DataError, SandboxError
from exprl.evaluate.benchmarks import Benchmark, Place, benchmarks, data_folder, draw, find_benchmarks, load_benchmark
from exprl.evaluate.benchmarks.errors import standard_error
from exprl.evaluate.benchmarks.shapes import SHAPES
from exprl.evaluate.benchmarks.verifying import open_verifier
from exprl.evaluate.coverage import Counts, pass_at_k
from exprl.prompting import check_template, messages
from exprl.types import Problem, Question, Reference

DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))
SLOW_TO_READ = {"leetcode"}
ASKED_FOR = {
    *("aime25", "aime26", "hmmt_feb25", "hmmt_nov25", "imo_answerbench", "math500", "gsm8k", "gpqa_diamond"),
    *("olympiadbench_physics", "olympiadbench_math", "sciknow_physics", "livecodebench", "humaneval", "mbpp_plus"),
    "leetcode",
}


# -- the registry


def test_every_benchmark_is_there() -> None:
    assert set(benchmarks()) == ASKED_FOR


@pytest.mark.parametrize("benchmark", benchmarks().values(), ids=lambda benchmark: benchmark.name)
def test_an_entry_is_well_formed(benchmark: Benchmark) -> None:
    assert benchmark.title
    assert benchmark.licence
    assert (benchmark.verifier == "code") == (benchmark.domain == "code")
    if benchmark.hub is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", benchmark.hub.path)
    for place in (benchmark.file, benchmark.hub):
        assert place is None or place.shape is None or place.shape in SHAPES
    text = messages(Question("q", "WHAT?"), benchmark.prompt)
    assert "WHAT?" in text[-1]["content"]
    for turn in text:
        check_template(turn["content"])
    asks_for = "```python" if benchmark.verifier == "code" else "\\boxed{}"
    assert asks_for in text[0]["content"]


@pytest.mark.parametrize("benchmark", benchmarks().values(), ids=lambda benchmark: benchmark.name)
def test_a_local_file_loads_and_has_the_number_of_problems_stated(benchmark: Benchmark) -> None:
    if benchmark.file is None or not (DATA / benchmark.file.path).is_file():
        pytest.skip(f"its file is not in {DATA} (EXPRL_DATA)")
    if benchmark.name in SLOW_TO_READ:
        pytest.skip("seconds to read; its tests are read with --slow in tests/verify/code")
    origin, problems = load_benchmark(benchmark, DATA)
    assert origin == str(DATA / benchmark.file.path)
    assert len(problems) == benchmark.file.problems == benchmark.problems
    assert {problem.domain for problem in problems} == {benchmark.domain}


def test_names_and_groups_are_found_in_order_each_once() -> None:
    assert [one.name for one in find_benchmarks("gsm8k, HMMT,hmmt_nov25")] == ["gsm8k", "hmmt_feb25", "hmmt_nov25"]
    with pytest.raises(ConfigError, match=r"unknown benchmark 'aime2026'; did you mean 'aime26'\? There are aime25, "):
        find_benchmarks("aime2026")
    with pytest.raises(ConfigError, match="no benchmark named; there are aime25"):
        find_benchmarks(" ,")


# -- their problems


ENTRY = Benchmark.model_validate(
    {
        "name": "tiny",
        "title": "Tiny",
        "licence": "none",
        "prompt": {},
        "notes": "made up",
        "file": {"path": "tiny.jsonl", "problems": 2},
    }
)
ROWS = [{"id": f"t{i}", "problem": f"{i} + 1?", "answer": str(i + 1)} for i in range(2)]


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    (folder / "tiny.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder


def test_a_file_in_the_folder_wins_over_the_hub(tmp_path: Path) -> None:
    hub = ENTRY.model_copy(update={"hub": Place(path="nobody/nothing", problems=2)})
    assert [problem.id for problem in load_benchmark(hub, write(tmp_path, ROWS)).problems] == ["t0", "t1"]


def test_a_benchmark_that_is_nowhere_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"benchmark tiny: tiny.jsonl is not in .*, and it is not on the Hub \(made up\)"
    ):
        load_benchmark(ENTRY, tmp_path)
    with pytest.raises(DataError, match="no such folder; give one with the benchmarks' files as --data or EXPRL_DATA"):
        data_folder(tmp_path / "none")


def test_another_edition_is_another_benchmark(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"tiny.jsonl holds 1 problems, and this benchmark has 2; it is another edition"
    ):
        load_benchmark(ENTRY, write(tmp_path, ROWS[:1]))


def test_a_benchmark_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="grading tiny needs an answer for every problem, and 1 of 2 have none: t1"):
        load_benchmark(ENTRY, write(tmp_path, [ROWS[0], {"id": "t1", "problem": "?"}]))


@given(st.sets(st.text(min_size=1), min_size=1, max_size=30), st.integers(1, 30), st.integers(1, 30))
def test_a_smaller_draw_is_part_of_a_larger_one_in_the_order_of_the_set(names: set[str], a: int, b: int) -> None:
    problems = [Problem(name, "?", Reference(None, "1")) for name in sorted(names)]
    small, large = ([p.id for p in draw(problems, limit)] for limit in sorted((a, b)))
    assert [name for name in large if name in small] == small
    assert len(small) == min(a, b, len(names))
    assert [p.id for p in draw(problems, None)] == sorted(names)


# -- rows of other forms


def test_gsm8k_is_split_at_its_mark() -> None:
    shaped = SHAPES["gsm8k"]({"question": "?", "answer": "1,000 + 1\n#### 1,001"}, ColumnMap(problem="question"))
    assert (shaped["solution"], shaped["answer"]) == ("1,000 + 1", "1001")


def test_gpqa_becomes_a_question_with_options_in_an_order_that_stays() -> None:
    row = {"Question": "Which?", "Correct Answer": "right", "Record ID": "r"}
    row |= {f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)}
    shaped = SHAPES["gpqa"](row, ColumnMap())
    assert shaped == SHAPES["gpqa"](row, ColumnMap())
    assert f"\n{shaped['answer']}. right" in str(shaped["problem"])
    problem = Problem("r", str(shaped["problem"]), Reference(None, str(shaped["answer"])), "science")
    verifier = open_verifier("choice")
    said = [verifier.verify([(problem, f"\\boxed{{{letter}}}")])[0].score for letter in "ABCD"]
    assert sorted(map(str, said)) == ["0.0", "0.0", "0.0", "1.0"]
    letters = {SHAPES["gpqa"]({**row, "Question": f"Which {i}?"}, ColumnMap())["answer"] for i in range(40)}
    assert letters == set("ABCD")


def test_olympiadbench_has_its_context_and_all_its_answers() -> None:
    row = {"context": "A ball.", "question": "How fast?", "solution": ["So."], "final_answer": ["3 m/s", "4 m/s"]}
    shaped = SHAPES["olympiadbench"](row, ColumnMap())
    assert (shaped["problem"], shaped["solution"], shaped["answer"]) == ("A ball.\n\nHow fast?", "So.", "3 m/s, 4 m/s")


def test_a_code_problem_says_what_its_program_begins_with() -> None:
    columns = ColumnMap(problem="question_content")
    told = SHAPES["starter_code"]({"question_content": "Add.", "starter_code": "class Solution:"}, columns)
    assert str(told["question_content"]).endswith("begins like this:\n\n```python\nclass Solution:\n```")
    read = SHAPES["starter_code"]({"question_content": "Add.", "starter_code": ""}, columns)
    assert str(read["question_content"]).endswith("reads standard input and writes to standard output.")


@given(
    st.sampled_from(sorted(SHAPES)), st.dictionaries(st.sampled_from(["answer", "question", "problem"]), st.integers())
)
def test_a_row_of_no_known_form_is_left_to_the_loader(shape: str, row: dict[str, object]) -> None:
    SHAPES[shape](row, ColumnMap())


# -- verifiers and standard errors


def test_choices_are_graded_as_choices_and_all_else_problem_by_problem() -> None:
    assert open_verifier("choice").name == "choice"
    problem = Problem("p", "How long?", Reference(None, r"\frac{v}{g}"), "science")
    (word,) = open_verifier("science").verify([(problem, r"\boxed{\frac{v}{g}}")])
    assert (word.judge, word.score) == ("math", 1.0)


def test_code_without_isolation_is_an_error_that_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from exprl.verify import sandbox

    layer = sandbox.Layer("seccomp", False, "no such system call", "use a newer kernel")
    monkeypatch.setattr(sandbox, "probe_layers", lambda: [layer])
    with pytest.raises(SandboxError, match="seccomp: no such system call; use a newer kernel"):
        open_verifier("code")


def test_standard_errors_by_hand() -> None:
    both = standard_error(Counts.of([4, 4], [1, 3]), 1)
    assert both.problems == pytest.approx(np.std([0.25, 0.75], ddof=1) / np.sqrt(2))
    assert both.samples == pytest.approx(np.sqrt(2 * (0.25 * 0.75 / 4)) / 2)
    assert standard_error(Counts.of([4, 4], [0, 4]), 2).samples == 0.0
    assert np.isnan(standard_error(Counts.of([2], [1], [1]), 2)).all()


def test_the_samples_share_is_what_sampling_anew_gives() -> None:
    n, c, k = np.array([16, 16, 16]), np.array([2, 8, 12]), 4
    drawn = np.random.default_rng(0).binomial(n, c / n, size=(40_000, 3))
    spread = pass_at_k(np.broadcast_to(n, drawn.shape), drawn, k).mean(axis=1).std()
    assert standard_error(Counts.of(n, c), k).samples == pytest.approx(spread, rel=0.02)
