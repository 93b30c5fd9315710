"""A set of several domains is split; one of a single domain is left as it is."""

from __future__ import annotations

from pathlib import Path

from exprl.config import RunConfig
from exprl.evaluate.coverage import Counts
from exprl.pipeline.domains import by_domain
from exprl.report.domains import DomainCell
from exprl.report.domains import by_domain as tables
from exprl.report.read import Record

CONFIG = RunConfig.model_validate(
    {"name": "r", "data": {"train": {"path": "t.jsonl"}}, "evaluate": {"n": 4, "bootstrap": 50}}
)
COUNTS = Counts.of([[4, 4, 4, 4]], [[4, 0, 2, 0]], [[0, 0, 0, 1]])


def test_each_domain_has_the_numbers_of_its_own_problems() -> None:
    split = by_domain(CONFIG, {("base", "stage1", "mixed"): COUNTS}, {"mixed": ["code", "code", "math", "math"]})
    code, maths = (split[domain]["base"]["stage1"]["mixed"] for domain in ("code", "math"))
    assert (code["pass@1"]["value"], maths["pass@1"]["value"]) == (0.5, 0.25)  # type: ignore[index]
    assert (code["problems"], maths["problems"]) == (2, 2)
    assert (code["unscored"], maths["unscored"]) == (0, 1)


def test_a_set_of_one_domain_is_not_split() -> None:
    assert by_domain(CONFIG, {("base", "stage1", "held"): COUNTS}, {"held": ["math"] * 4}) == {}


def test_the_report_has_a_table_for_mixed_sets_and_none_for_others() -> None:
    split = by_domain(CONFIG, {("base", "stage1", "mixed"): COUNTS}, {"mixed": ["code", "code", "math", "math"]})
    (table,) = tables(_record({"domains": split}))
    assert table.domains == ("code (2)", "math (2)")
    assert table.ks == (1, 4)
    (row,) = table.rows
    assert isinstance(row.cells[0], DomainCell)
    assert [cell.text for cell in row.cells][::2] == ["0.500", "0.250"]
    assert tables(_record({})) == []


def _record(summary: dict[str, object]) -> Record:
    return Record(Path("r"), {}, {}, summary, {}, (), {}, (), ("process",), ("mixed", "held"))
