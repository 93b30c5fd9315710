"""The parts of the server by themselves: buckets, tokens, memory, references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.errors import ConfigError
from exprl.serve.auth import Keyring
from exprl.serve.limits import Bucket, Buckets
from exprl.serve.references import FullError, References, TakenError
from exprl.serve.scoring import Memory
from exprl.types import Problem, Reference, Verdict


@given(st.floats(0.5, 50), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_a_bucket_lets_through_no_more_than_its_burst_and_its_rate(rate: float, pauses: list[float]) -> None:
    now = [0.0]
    bucket = Bucket(rate, rate, clock=lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        if (wait := bucket.take()) == 0.0:
            taken += 1
        else:
            assert 0 < wait <= 1 / rate + 1e-9
    assert taken <= max(rate, 1.0) + rate * now[0] + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    now = [0.0]
    bucket = Bucket(2.0, 1.0, clock=lambda: now[0])
    assert bucket.take() == 0.0
    now[0] += bucket.take()
    assert bucket.take() == 0.0


def test_addresses_have_buckets_of_their_own_and_only_so_many_are_kept() -> None:
    buckets = Buckets(1.0, clock=lambda: 0.0)
    assert (buckets.take("a"), buckets.take("b")) == (0.0, 0.0)
    assert buckets.take("a") == 1.0
    for number in range(5000):
        buckets.take(str(number))
    assert len(buckets._buckets) == 4096


@given(st.text(max_size=40))
def test_nobodys_token_has_no_role_and_no_header_breaks_the_keyring(text: str) -> None:
    keyring = Keyring(evaluator="e" * 20, actor="a" * 20)
    assert keyring.role(text) is None
    assert keyring.role(f"Bearer {text}") is None


def test_a_keyring_knows_its_tokens_and_shows_none() -> None:
    keyring = Keyring(evaluator="e" * 20, actor="a" * 20)
    assert keyring.role("bearer  " + "e" * 20) == "evaluator"
    assert keyring.role("Bearer " + "a" * 20) == "actor"
    assert "aaaa" not in repr(keyring) + str(keyring.__class__.__slots__)
    assert Keyring(evaluator="e" * 20).roles == {"evaluator"}
    with pytest.raises(ConfigError, match="no token"):
        Keyring()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2000)), max_size=60))
def test_memory_never_outgrows_its_bytes_and_gives_back_what_was_kept(entries: list[tuple[int, int]]) -> None:
    memory = Memory(5000)
    for key, size in entries:
        verdicts = (Verdict(0.5, raw="x" * size),)
        memory.keep(bytes([key]), verdicts)
        assert sum(400 + len(kept[0].raw) for kept in memory._kept.values()) == memory._size <= 5000
        found = memory.get(bytes([key]))
        assert found is None or found[0].score == 0.5


def test_memory_forgets_what_was_not_asked_for_the_longest_and_keeps_no_failure() -> None:
    memory = Memory(900)
    memory.keep(b"a", (Verdict(0.0),))
    memory.keep(b"b", (Verdict(0.25),))
    assert memory.get(b"a") is not None
    memory.keep(b"c", (Verdict(0.5),))
    assert (memory.get(b"b"), len(memory)) == (None, 2)
    memory.keep(b"d", (Verdict(0.5), Verdict(None, unscored="timeout")))
    assert memory.get(b"d") is None


def test_references_are_kept_by_id_and_another_problem_under_one_is_refused() -> None:
    one = Problem("p", "q", Reference("s", "a"))
    references = References([one], most=1)
    assert references.add(Problem("p", "q", Reference("s", "a"))) is False
    for other in (Problem("p", "q", Reference("s", "b")), Problem("p", "Q", Reference("s", "a"))):
        with pytest.raises(TakenError):
            references.add(other)
    with pytest.raises(FullError):
        references.add(Problem("p2", "q", Reference("s", "a")))
    assert repr(references) == "References(1 <redacted>)"
    assert references.remove("p")
    assert not references.remove("p")
