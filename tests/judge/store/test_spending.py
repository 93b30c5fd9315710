"""Ledger: what judging has cost, over calls, judges, processes and earlier parts of a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import LLMJudgeConfig
from exprl.judge.store.ledger import Ledger, Prices, Spend
from exprl.types import Usage

PRICES = Prices(price_in=2.0, price_cached=0.5, price_out=8.0)
CALL = Usage(calls=1, prompt_tokens=1000, completion_tokens=100, cached_tokens=600)
COST = (600 * 0.5 + 400 * 2.0 + 100 * 8.0) / 1e6  # 0.0019
COUNTS = st.integers(0, 10**9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "judge.sqlite"


def opened(path: Path | None, limit: float | None = None, prices: Prices = PRICES) -> Ledger:
    return Ledger.open(path, prices=prices, limit=limit)


def test_prices_come_from_the_configuration_and_cached_tokens_cost_what_others_do() -> None:
    config = LLMJudgeConfig(model="m", price_in=2.0, price_out=8.0)
    assert Prices.of(config) == Prices(2.0, 2.0, 8.0)
    assert Prices.of(config.model_copy(update={"price_cached": 0.0})) == Prices(2.0, 0.0, 8.0)
    assert Prices.of(LLMJudgeConfig(model="m")).cost(CALL) is None


@pytest.mark.parametrize("stored", [True, False])
def test_charges_add_up_to_what_was_spent(stored: bool, path: Path) -> None:
    ledger = opened(path if stored else None)
    for _ in range(3):
        ledger.charge(CALL, "llm:a")
    ledger.charge(Usage(calls=2), "llm:b")
    spent = ledger.spent()
    assert spent == Spend(5, 3000, 1800, 300, pytest.approx(3 * COST))
    ledger.close()
    assert ledger.spent() == spent


def test_earlier_parts_of_a_run_count(path: Path) -> None:
    first = opened(path)
    first.charge(CALL, "llm:a")
    first.close()
    second = opened(path)
    second.charge(CALL, "llm:a")
    assert second.spent() == Spend(2, 2000, 1200, 200, pytest.approx(2 * COST))
    second.close()


def test_ledgers_of_one_process_see_each_other(path: Path) -> None:
    one, two = opened(path), opened(path)
    for ledger in (one, two, one):
        ledger.charge(CALL, "llm:a")
    assert one.spent().calls == two.spent().calls == 3
    one.close()


def test_a_limit_stops_at_once_with_what_this_process_spends(path: Path) -> None:
    ledger = opened(path, limit=0.01)
    asked = 0
    while ledger.reason() is None:
        ledger.charge(CALL, "llm:a")
        asked += 1
    assert asked == 6  # 5 calls cost 0.0095
    assert ledger.reason() == "cost limit of 0.01 reached: 0.011 spent"
    ledger.close()
    assert opened(path, limit=0.01).reason() == "cost limit of 0.01 reached: 0.011 spent"  # resumed: still none left
    assert opened(path, limit=1.0).reason() is None
    opened(path).close()


def test_a_limit_hears_of_other_processes_within_a_second_or_so(path: Path) -> None:
    ledger = opened(path, limit=0.01)
    assert ledger.reason() is None
    code = (
        "import sys; from pathlib import Path\n"
        "from exprl.judge.store.ledger import *; from exprl.types import Usage\n"
        f"ledger = Ledger.open(Path(sys.argv[1]), prices={PRICES}, limit=None)\n"
        f"for _ in range(6): ledger.charge({CALL}, 'llm:a')"  # and no close: leaving is enough
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    subprocess.run([sys.executable, "-c", code, path], env=environment, check=True, timeout=60)
    end = time.monotonic() + 10
    while ledger.reason() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert ledger.reason() == "cost limit of 0.01 reached: 0.011 spent"
    ledger.close()


def test_a_reason_is_cheap(path: Path) -> None:
    ledger = opened(path, limit=1e9)
    ledger.reason()
    start = time.process_time()
    for _ in range(2000):
        ledger.reason()
    assert time.process_time() - start < 0.2  # 100 us each; about 3 on an idle machine
    ledger.close()


@given(st.lists(st.tuples(st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS), st.sampled_from("ab"), st.booleans())))
def test_a_total_does_not_depend_on_who_charged_what_with_which_prices(
    charges: list[tuple[Usage, str, bool]],
) -> None:
    priced, unpriced, all_at_once = opened(None), opened(None, prices=Prices()), opened(None)
    for usage, judge, known in charges:
        (priced if known else unpriced).charge(usage, judge)
        all_at_once.charge(usage, judge)
    one, two, total = priced.spent(), unpriced.spent(), all_at_once.spent()
    assert (one.calls + two.calls, one.completion_tokens + two.completion_tokens) == (
        total.calls,
        total.completion_tokens,
    )
    assert two.cost is None
    assert total.cached_tokens <= total.prompt_tokens


def test_what_was_charged_without_prices_counts_at_the_readers(path: Path) -> None:
    before = opened(path, prices=Prices())
    before.charge(CALL, "llm:a")
    assert before.spent().cost is None
    after = opened(path)
    after.charge(CALL, "llm:a")
    assert after.spent().cost == pytest.approx(2 * COST)
    assert before.spent().cost is None  # a part of it is unknown
    after.close()


def test_a_charge_keeps_the_price_of_its_day(path: Path) -> None:
    ledger = opened(path)
    ledger.charge(CALL, "llm:a")
    dearer = opened(path, prices=Prices(200.0, 50.0, 800.0))
    dearer.charge(CALL, "llm:a")
    assert dearer.spent().cost == pytest.approx(101 * COST)
    assert opened(path, prices=Prices()).spent().cost == pytest.approx(101 * COST)
    ledger.close()


def test_nothing_charged_costs_nothing_where_prices_are_known() -> None:
    assert opened(None).spent().cost == 0
    assert opened(None, prices=Prices()).spent().cost is None
    assert opened(None, limit=0.0).reason() == "cost limit of 0 reached: 0.00 spent"


@pytest.mark.parametrize("reported", [Usage(1, -5, -5, -5), Usage(1, 10**30, 10**30, 10**40), Usage(1, 5, 5, 50)])
def test_what_a_server_reports_is_held_to_what_can_be(reported: Usage, path: Path) -> None:
    ledger = opened(path)
    ledger.charge(reported, "llm:a")
    spent = ledger.spent()
    assert 0 <= spent.cached_tokens <= spent.prompt_tokens <= 1 << 40
    assert spent.cost is not None
    assert spent.cost >= 0
    ledger.close()
    assert ledger.spent() == spent
    ledger.close()


def test_where_nothing_can_be_written_a_limit_still_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ledger = opened(tmp_path / "file" / "judge.sqlite", limit=0.01)
    asked = 0
    while ledger.reason() is None:
        ledger.charge(CALL, "llm:a")
        asked += 1
        if asked == 3:
            assert ledger.spent().calls == 3
    assert asked == 6
    ledger.close()


def test_a_disk_that_fills_up_does_not_forget_what_was_spent(path: Path) -> None:
    ledger = opened(path, limit=1.0)
    ledger.charge(CALL, "llm:a")
    assert ledger.spent().calls == 1
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER no_room BEFORE INSERT ON spend BEGIN SELECT RAISE(ABORT, 'full'); END")
    for _ in range(4):
        ledger.charge(CALL, "llm:a")
        ledger.spent()
    assert ledger.spent().calls == 5
    ledger.close()


def test_a_spend_reads_well() -> None:
    spend = Spend(1204, 3_120_000, 2_190_000, 210_000, 1.8412)
    assert str(spend) == "1,204 calls, 3.1 M tokens in (2.2 M cached), 0.2 M out, 1.84 spent"
    assert str(Spend(3, 4096, 0, 12)) == "3 calls, 4,096 tokens in (0 cached), 12 out"
