"""Problems load from every kind of source, and what cannot be used is named by file, line, column and value."""

from __future__ import annotations

import gzip
import json
import os
import sys
import types
from pathlib import Path

import pytest

from exprl.config import ColumnMap, SourceConfig
from exprl.data import decide_hardness, load_problems, require_answers, require_references, require_tests, tally
from exprl.data.rows import source_stem
from exprl.errors import DataError
from exprl.types import Privileged, Problem, Reference, Verdict

GOOD = {"id": "p0", "problem": "1 + 1?", "solution": "CANARY", "answer": "2"}
DATA = Path(os.environ.get("EXPRL_DATA", "../shared/data"))


def write(path: Path, *rows: object) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def load(path: Path, **settings: object) -> list[Problem]:
    return load_problems(SourceConfig.model_validate({"path": str(path), **settings}))


def refusal(path: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **settings)
    assert "CANARY" not in str(caught.value)
    assert "CANARY" not in repr(caught.value.__cause__)
    assert "CANARY" not in repr(vars(caught.value.__context__) if caught.value.__context__ else "")
    return str(caught.value)


def opened(problem: Problem) -> Privileged:
    return problem.reference.reveal()


def test_a_jsonl_row_becomes_a_problem_with_a_hidden_reference(tmp_path: Path) -> None:
    [problem] = load(write(tmp_path / "a.jsonl", GOOD))
    assert (problem.id, problem.text, problem.domain) == ("p0", "1 + 1?", "math")
    assert opened(problem) == ("CANARY", "2", None)
    assert "CANARY" not in repr(problem)


def test_gzip_blank_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\n\n" + b'{"problem":"2?"}\n'))
    assert [problem.id for problem in load(path)] == ["p0", "a-1"]


def test_a_line_separator_inside_a_problem_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"problem": "one\u2028two"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert load(path)[0].text == "one\u2028two"


def test_parquet_gives_what_jsonl_gives(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [GOOD, {"id": "p1", "problem": "2 + 2?", "solution": None, "answer": "4"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet") == load(write(tmp_path / "a.jsonl", *rows))
    pq.write_table(pa.Table.from_pylist([GOOD, {**GOOD, "id": "p1", "problem": " "}]), tmp_path / "b.parquet")
    assert refusal(tmp_path / "b.parquet").startswith("b.parquet, row 2, column 'problem': the problem is empty")
    (tmp_path / "c.parquet").write_bytes(b"PAR0")
    assert "c.parquet: not a parquet file" in refusal(tmp_path / "c.parquet")


def test_offset_and_limit_cut_a_window_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "{broken", {"problem": "b"}, {"problem": "c"}, "{broken")
    assert [problem.id for problem in load(path, offset=1, limit=2)] == ["a-1", "a-2"]
    assert "no problems after offset 9" in refusal(path, offset=9)


@pytest.mark.parametrize(
    ("value", "text"), [(2, "2"), (2.5, "2.5"), (277.0, "277"), ("x", "x"), (["7"], "7"), (" ", None), (None, None)]
)
def test_numbers_and_single_item_lists_are_answers_and_blanks_are_none(
    tmp_path: Path, value: object, text: str | None
) -> None:
    assert opened(load(write(tmp_path / "a.jsonl", {"problem": "?", "answer": value}))[0]).answer == text


def test_columns_are_mapped_and_only_harmless_ones_are_kept_as_meta(tmp_path: Path) -> None:
    row = {"idx": 7, "prompt": "Which? A or B", "answer": "B", "kind": "mcq", "elo": 1500, "cot": "CANARY"}
    [problem] = load(
        write(tmp_path / "a.jsonl", row),
        columns={"id": "idx", "problem": "prompt", "answer": "answer"},
        domain="science",
    )
    assert (problem.id, problem.text, problem.domain, opened(problem)) == (
        "7",
        "Which? A or B",
        "science",
        (None, "B", None),
    )
    assert problem.meta == {"kind": "mcq", "elo": 1500}


def test_a_mapped_column_is_never_meta(tmp_path: Path) -> None:
    [problem] = load(write(tmp_path / "a.jsonl", {"problem": "?", "level": "CANARY"}), columns={"answer": "level"})
    assert problem.meta == {}


def test_a_domain_column_is_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {**GOOD, "field": "code"}, {**GOOD, "id": "p1", "field": "poetry"})
    assert load(path, columns={"domain": "field"}, limit=1)[0].domain == "code"
    message = refusal(path, columns={"domain": "field"})
    assert (
        "a.jsonl, line 2, column 'field': expected one of math, science, code, general, found str 'poetry'" in message
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '{"problem": "x", "solution": "CANARY" "answer"}',
            "line 2: malformed JSON at character 39: Expecting",
        ),
        ('["CANARY"]', "a.jsonl, line 2: expected a JSON object, found list"),
        ({"Problem": "x", "id": "q"}, "a.jsonl, line 2: no column 'problem'; did you mean 'Problem'?"),
        ({"question": "x", "id": "q"}, "line 2: no column 'problem'; it has question, id (set columns.problem)"),
        ({"problem": 12}, "a.jsonl, line 2, column 'problem': expected the problem's text, found int 12"),
        ({"problem": {"answer": "CANARY"}}, "line 2, column 'problem': expected the problem's text, found dict"),
        ({"problem": "\n"}, "a.jsonl, line 2, column 'problem': the problem is empty ('\\n')"),
        (
            {"problem": "x", "solution": {"a": "CANARY"}},
            "line 2, column 'solution': expected text or a number, found dict",
        ),
        ({"problem": "x", "answer": ["CANARY", "b"]}, "line 2, column 'answer': expected text or a number, found list"),
        ({"problem": "x", "answer": True}, "line 2, column 'answer': expected text or a number, found bool"),
        ({"problem": "x", "id": ""}, "line 2, column 'id': expected a text or number as id, found str ''"),
        ({"problem": "x", "id": [1]}, "line 2, column 'id': expected a text or number as id, found list"),
        ('{"problem": "\\ud800"}', "line 2, column 'problem': holds half a surrogate pair"),
        ({**GOOD, "problem": "other"}, "a.jsonl, line 2: id 'p0' is already used at a.jsonl, line 1"),
    ],
)
def test_a_bad_row_is_named_with_place_value_and_remedy(tmp_path: Path, row: object, message: str) -> None:
    assert message in refusal(write(tmp_path / "a.jsonl", GOOD, row))


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.jsonl", {**GOOD, "field": "x" * 500}), columns={"domain": "field"})
    assert "x" * 36 + "..." in message
    assert "x" * 40 not in message


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"problem": "\xff"}\n')
    assert "a.jsonl, line 1: not UTF-8 (byte 14 of the line)" in refusal(tmp_path / "a.jsonl")


def test_a_cut_off_gzip_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode() * 50)[:-12])
    assert "a.jsonl.gz: damaged gzip file" in refusal(tmp_path / "a.jsonl.gz")


def test_a_column_named_on_purpose_must_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    assert "no column 'solutoin'; did you mean 'solution'? (set columns.solution)" in refusal(
        path, columns={"solution": "solutoin"}
    )


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_train.jsonl", GOOD)
    assert "no such file; did you mean gsm8k_train.jsonl?" in refusal(tmp_path / "gsm8k_trian.jsonl")
    assert "holds gsm8k_train.jsonl" in refusal(tmp_path / "zzz.parquet")
    assert "does not exist either" in refusal(tmp_path / "nowhere" / "a.jsonl")
    assert "is a folder" in refusal(tmp_path)
    assert "the ending is not one of .jsonl" in refusal(write(tmp_path / "a.csv", "x"))
    assert "the ending is not one of .jsonl" in refusal(Path("data.json"))


def test_an_empty_file_has_no_problems(tmp_path: Path) -> None:
    assert "no problems; check" in refusal(write(tmp_path / "a.jsonl"))


def test_a_hub_dataset_is_loaded_by_name_configuration_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load_dataset(*args: object, **settings: object) -> list[dict[str, str]]:
        asked.extend([args, settings])
        return [{"problem": "1?"}, {"problem": "2?"}]

    fake_hub(monkeypatch, load_dataset)
    problems = load_problems(SourceConfig(path="openai/gsm8k:main", split="test", limit=1))
    assert asked == [("openai/gsm8k", "main"), {"split": "test"}]
    assert [problem.id for problem in problems] == ["gsm8k-0"]


def test_a_hub_that_cannot_be_reached_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*args: object, **settings: object) -> None:
        raise ConnectionError("Couldn't reach 'a/b' on the Hub (offline)")

    fake_hub(monkeypatch, load_dataset)
    with pytest.raises(DataError, match=r"a/b, split 'train': cannot be loaded .*\(ConnectionError: Couldn't"):
        load_problems(SourceConfig(path="a/b"))


def fake_hub(monkeypatch: pytest.MonkeyPatch, load_dataset: object) -> None:
    hub = types.ModuleType("datasets")
    errors = types.SimpleNamespace(DatasetsError=type("DatasetsError", (Exception,), {}))
    monkeypatch.setattr(hub, "load_dataset", load_dataset, raising=False)
    monkeypatch.setattr(hub, "exceptions", errors, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", hub)


def test_a_world_is_asked_for_its_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    world = types.ModuleType("exprl.worlds")
    made = [Problem(f"w{i}", "?", Reference("s", "a")) for i in range(5)]
    monkeypatch.setattr(world, "load_problems", lambda path: made if path == "world:chain/hard" else [], raising=False)
    monkeypatch.setitem(sys.modules, "exprl.worlds", world)
    assert load_problems(SourceConfig(path="world:chain/hard", offset=1, limit=2)) == made[1:3]
    with pytest.raises(DataError, match="world:other: no problems"):
        load_problems(SourceConfig(path="world:other"))


def test_what_a_method_needs_is_asked_for_by_name() -> None:
    problems = [Problem(f"p{i}", "?", Reference(None, "1" if i else None)) for i in range(7)]
    with pytest.raises(DataError, match=r"Stage I needs a reference solution .* 7 of 7 .*: p0, p1, p2, p3, p4, \.\.\."):
        require_references(problems)
    with pytest.raises(DataError, match=r"verification needs an answer .* 1 of 7 have none: p0;"):
        require_answers(problems)
    require_answers(problems[1:])


def test_stems_lose_every_ending() -> None:
    assert source_stem(SourceConfig(path="x/aime26.jsonl.gz")) == "aime26"
    assert source_stem(SourceConfig(path="owner/set")) == "set"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} (EXPRL_DATA) is not there")
@pytest.mark.parametrize(
    ("name", "columns", "count"),
    [
        ("gsm8k_test.jsonl", ColumnMap(), 1319),
        ("aime26.jsonl", ColumnMap(), 30),
        ("olympiadbench_en_text.jsonl", ColumnMap(), 675),
        ("sciknow_physics_train.jsonl", ColumnMap(id="idx", problem="prompt"), 720),
        ("HumanEval.jsonl.gz", ColumnMap(id="task_id", problem="prompt", solution="canonical_solution"), 164),
    ],
)
def test_public_problem_files_load(name: str, columns: ColumnMap, count: int) -> None:
    assert len(load_problems(SourceConfig(path=str(DATA / name), columns=columns))) == count


def test_a_problem_is_hard_if_nothing_solved_it_and_its_reference_grades() -> None:
    right, wrong, none = Verdict(1.0), Verdict(0.0), Verdict(None, "timeout")
    assert decide_hardness(64, 0, 0, right) == (True, None)
    assert decide_hardness(64, 1, 3, right) == (False, "solved at least once")
    assert decide_hardness(64, 1, 0, wrong) == (False, "reference's answer does not grade as stored")
    assert decide_hardness(0, 0, 0, none) == (False, "reference's answer could not be graded")
    assert decide_hardness(0, 0, 0, right) == (False, "not sampled")


def test_unscored_samples_keep_a_problem_out_unless_allowed() -> None:
    assert decide_hardness(64, 0, 1, Verdict(1.0)) == (False, "samples left unscored")
    assert decide_hardness(64, 0, 6, Verdict(1.0), max_unscored=0.1) == (True, None)
    assert decide_hardness(64, 0, 64, Verdict(1.0), max_unscored=1.0) == (False, "samples left unscored")


@pytest.mark.parametrize("counts", [(4, 5, 0), (4, 3, 2), (4, -1, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        decide_hardness(*counts, Verdict(1.0))


def test_the_tally_says_how_many_were_kept_and_why_others_were_not() -> None:
    whys = [None] * 32 + ["reference's answer does not grade as stored"] * 5 + ["solved at least once"] * 10
    counted = tally([*whys, "not sampled", "not sampled", "not sampled"])
    assert (
        str(counted)
        == "kept 32 of 50: 10 solved at least once, 5 reference's answer does not grade as stored, 3 not sampled"
    )
    assert str(tally([None])) == "kept 1 of 1"


def test_tests_of_any_known_form_are_hidden_in_the_reference(tmp_path: Path) -> None:
    row = {"problem": "Add.", "tests": ["assert add('CANARY', 2) == 3"]}
    [problem] = load(write(tmp_path / "a.jsonl", row), domain="code")
    assert problem.reference.has_tests
    assert json.loads(opened(problem).tests or "")["entry"] == "add"
    assert "CANARY" not in repr(problem)
    [humaneval] = load(
        write(tmp_path / "b.jsonl", {"prompt": "def f(x):\n", "entry_point": "f", "test": "assert f(1) == 2"}),
        columns={"problem": "prompt", "tests": "test"},
    )
    assert json.loads(opened(humaneval).tests or "")["cases"] == [{"call": "candidate(1)", "expect": "2"}]
    require_tests([problem, humaneval])


def test_tests_that_are_no_tests_are_named_by_place_and_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"problem": "?", "tests": {"cases": [{"call": 7, "expect": "CANARY"}]}})
    assert refusal(path, domain="code").startswith("a.jsonl, line 1, column 'tests': case 0: a call knows")
    assert not load(path)[0].reference.has_tests, "nobody said that it is code, or that these are tests"
    path = write(tmp_path / "b.jsonl", {"problem": "?", "test": "CANARY"})
    assert "no column 'tset'; did you mean 'test'?" in refusal(path, columns={"tests": "tset"})


def test_rows_without_tests_are_refused_where_tests_are_needed(tmp_path: Path) -> None:
    problems = load(write(tmp_path / "a.jsonl", GOOD))
    with pytest.raises(
        DataError, match=r"rewards from execution needs tests for every problem, and 1 of 1 have none: p0"
    ):
        require_tests(problems)
