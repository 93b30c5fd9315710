"""What judging has cost: charged call by call, summed over all processes and earlier parts of a run.

    cost = (cached * price_cached + (prompt - cached) * price_in + completion * price_out) / 1,000,000

A charge is written before the verdict that it paid for (`exprl.judge.store.cache`), so a kill loses the charges of calls in
flight at most. It keeps the price of its day; what was charged without prices counts at the reader's prices, and where he
has none either, the cost is unknown (None), not 0.

`reason` is asked before every call and so is answered from memory: what the file said a second ago at most, plus the
charges made here since. Several processes can pass a limit by what each spends in that second and by the calls in
flight. Where the file cannot be written, a ledger goes on counting by itself.

    >>> ledger = Ledger.open(None, prices=Prices(1.0, 0.1, 4.0), limit=0.01)
    >>> ledger.charge(Usage(calls=2, prompt_tokens=5000, completion_tokens=2000), "llm:a-judge")
    >>> str(ledger.spent()), ledger.reason()
    ('2 calls, 5,000 tokens in (0 cached), 2,000 out, 0.013 spent', 'cost limit of 0.01 reached: 0.013 spent')
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from exprl.config import LLMJudgeConfig
from exprl.judge.store.store import Store, Work
from exprl.types import Usage

__all__ = ["Ledger", "Prices", "Spend"]

_FRESH = 1.0  # seconds
_MOST = 1 << 40  # tokens of one charge: a server may report anything


class Prices(NamedTuple):
    """Per million tokens, in any currency; None where unknown."""

    price_in: float | None = None
    price_cached: float | None = None
    price_out: float | None = None

    @classmethod
    def of(cls, config: LLMJudgeConfig) -> Self:
        """The prices of a configuration; cached tokens cost what others do unless it says otherwise."""
        cached = config.price_in if config.price_cached is None else config.price_cached
        return cls(config.price_in, cached, config.price_out)

    def cost(self, usage: Usage) -> float | None:
        """What this much costs, or None."""
        if self.price_in is None or self.price_out is None:
            return None
        price_cached = self.price_in if self.price_cached is None else self.price_cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        total = usage.cached_tokens * price_cached + fresh * self.price_in + usage.completion_tokens * self.price_out
        return total / 1e6


@dataclass(frozen=True, slots=True)
class Spend:
    """A total, for people by `str`. `cost` is None where prices are not known."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    def __str__(self) -> str:
        spent = "" if self.cost is None else f", {_money(self.cost)} spent"
        return (
            f"{self.calls:,} calls, {_tokens(self.prompt_tokens)} tokens in ({_tokens(self.cached_tokens)} cached), "
            f"{_tokens(self.completion_tokens)} out{spent}"
        )


class _Sums(NamedTuple):
    """Charges added up: those with a price, what they cost, and those without one."""

    priced: Usage = Usage()
    cost: float = 0.0
    unpriced: Usage = Usage()

    def plus(self, other: _Sums) -> _Sums:
        return _Sums(self.priced + other.priced, self.cost + other.cost, self.unpriced + other.unpriced)


class _Charge(NamedTuple):
    judge: str
    sums: _Sums


class Ledger:
    """The account of a run. Make it with `Ledger.open`; usable from several threads.

    What is known is `_read + _since`: the file when it was last read, and the charges made here since that reading was
    ordered.
    """

    def __init__(self, store: Store | None, prices: Prices, limit: float | None) -> None:
        self._store = store
        self._prices = prices
        self._limit = limit
        self._lock = threading.Lock()
        self._read = _Sums()
        self._since = _Sums()
        self._after: _Sums | None = None  # charges since a reading was ordered that has not come back
        self._next = 0.0
        self._unread = True
        self._by_itself = store is None

    @classmethod
    def open(cls, path: Path | None, *, prices: Prices, limit: float | None) -> Ledger:
        """The account in a file, which is read with the first question; None counts in memory.

        Args:
            path: the file, shared with the cache and with other processes.
            prices: of the judge that is charged here.
            limit: the cost at which `reason` gives one; it needs prices.
        """
        return cls(None if path is None else Store.open(path), prices, limit)

    def charge(self, usage: Usage, judge: str) -> None:
        """Write down what a call has cost; it does not wait for the disk."""
        usage = _plausible(usage)
        cost = self._prices.cost(usage)
        sums = _Sums(unpriced=usage) if cost is None else _Sums(usage, cost)
        with self._lock:
            self._since = self._since.plus(sums)
            if self._after is not None:
                self._after = self._after.plus(sums)
        if self._store is not None:
            self._store.post(_CHARGE, _Charge(judge, sums), self._charged)

    def spent(self) -> Spend:
        """The total of all processes and earlier parts of the run, read from the file."""
        if self._store is not None and not self._by_itself:
            self._order_reading()
            self._store.do_now(_FLUSH, None)  # comes after the reading, and after all charges before it
        return self._known()

    def reason(self) -> str | None:
        """Why nothing more may be asked, or None. Cheap, but for the first time."""
        if self._limit is None:
            return None
        if self._unread:
            cost = self.spent().cost
        else:
            if time.monotonic() >= self._next:
                self._order_reading()
            cost = self._known().cost
        if cost is None or cost < self._limit:
            return None
        return f"cost limit of {self._limit:g} reached: {_money(cost)} spent"

    def close(self) -> None:
        """All charges are on disk; the file is let go of until it is needed again."""
        if self._store is not None:
            self._store.close()

    def _order_reading(self) -> None:
        with self._lock:
            if self._store is None or self._by_itself or self._after is not None:
                return
            self._after = _Sums()
            self._store.post(_TOTAL, None, self._take)

    def _take(self, total: _Sums | None) -> None:
        with self._lock:
            after, self._after = self._after, None
            self._next = time.monotonic() + _FRESH
            self._unread = False
            if total is not None and after is not None and not self._by_itself:
                self._read, self._since = total, after

    def _charged(self, written: bool | None) -> None:
        if written is None:
            self._by_itself = True  # what the file says is too little from now on

    def _known(self) -> Spend:
        with self._lock:
            sums = self._read.plus(self._since)
        both = sums.priced + sums.unpriced
        rest = self._prices.cost(sums.unpriced)
        cost: float | None = sums.cost + (rest or 0.0)
        if rest is None and (sums.unpriced.calls or not both.calls):
            cost = None
        return Spend(both.calls, both.prompt_tokens, both.cached_tokens, both.completion_tokens, cost)


def _plausible(usage: Usage) -> Usage:
    calls, prompt, completion, cached = (
        min(max(number, 0), _MOST)
        for number in (usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
    )
    return Usage(calls, prompt, completion, min(cached, prompt))


def _money(cost: float) -> str:
    return f"{cost:.2f}" if cost >= 0.1 or cost == 0 else f"{cost:.2g}"


def _tokens(number: int) -> str:
    return f"{number:,}" if number < 100_000 else f"{number / 1e6:,.1f} M"


def _charge(connection: sqlite3.Connection, charges: list[_Charge]) -> list[bool]:
    """Add to the rows, one a judge and one for what it did without a price."""
    by_judge: dict[str, _Sums] = {}
    for judge, sums in charges:
        by_judge[judge] = by_judge.get(judge, _Sums()).plus(sums)
    connection.executemany(
        "INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (judge, priced) DO UPDATE SET "
        "calls = calls + excluded.calls, prompt = prompt + excluded.prompt, cached = cached + excluded.cached, "
        "completion = completion + excluded.completion, cost = cost + excluded.cost",
        [row for judge, sums in by_judge.items() for row in _rows(judge, sums)],
    )
    return [True] * len(charges)


def _rows(judge: str, sums: _Sums) -> list[tuple[str, int, int, int, int, int, float]]:
    pairs = ((1, sums.priced, sums.cost), (0, sums.unpriced, 0.0))
    return [
        (judge, priced, of.calls, of.prompt_tokens, of.completion_tokens, of.cached_tokens, cost)
        for priced, of, cost in pairs
        if of != Usage()
    ]


def _total(connection: sqlite3.Connection, asked: list[None]) -> list[_Sums]:
    query = (
        "SELECT TOTAL(calls), TOTAL(prompt), TOTAL(completion), TOTAL(cached), TOTAL(cost) FROM spend WHERE priced = ?"
    )
    *priced, cost = connection.execute(query, (1,)).fetchone()
    *unpriced, _ = connection.execute(query, (0,)).fetchone()
    sums = _Sums(Usage(*map(int, priced)), cost, Usage(*map(int, unpriced)))
    return [sums] * len(asked)


def _flush(connection: sqlite3.Connection, asked: list[None]) -> list[bool]:
    return [True] * len(asked)


_CHARGE: Work[_Charge, bool] = Work(_charge, writes=True)
_TOTAL: Work[None, _Sums] = Work(_total, in_turn=True)
_FLUSH: Work[None, bool] = Work(_flush)
