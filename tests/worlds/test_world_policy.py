"""The chain world's policy is tiny, primed the same every time, and primed once."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exprl.engines.trl.checkpoint import check_policy_path
from exprl.errors import RunError
from exprl.tokens import TokenMap
from exprl.worlds import load_problems
from exprl.worlds.chain import MARKER, corpus
from exprl.worlds.policy import Priming, cached_policy, prime
from exprl.worlds.tokenizer import END, PIECES, make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SMALL = Priming(steps=3, batch=4, width=16, heads=2, feed_forward=16)
TEXTS = [text for pair in itertools.islice(corpus(2), 200) for text in pair]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# -- tokenizer


def test_the_tokenizer_gives_every_text_of_the_world_back(tokenizer: PreTrainedTokenizerFast) -> None:
    hard = [problem.text for problem in load_problems("world:chain/hard_train")]
    for text in [*TEXTS, *hard]:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.pad_token_id not in ids, "an unknown piece would be read as padding"


def test_the_marker_and_the_end_are_one_token_each(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer(MARKER)["input_ids"]) == 1
    assert tokenizer(MARKER + END)["input_ids"][-1] == tokenizer.eos_token_id
    assert len(tokenizer) == len(set(PIECES)) < 64


def test_the_ends_of_its_tokens_are_exact(tokenizer: PreTrainedTokenizerFast) -> None:
    token_map = TokenMap.from_tokenizer(tokenizer)
    assert token_map.kind == "table"
    for text in TEXTS:
        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        lengths = [len(PIECES[i]) for i in ids[:-1]]
        assert token_map.text(ids) == text
        np.testing.assert_array_equal(token_map.ends(ids), np.cumsum([*lengths, 0]))


# -- priming


def test_priming_is_the_same_every_time_and_differs_by_seed() -> None:
    import torch

    first, again, other = (prime(Priming(**{**_settings(), "seed": seed}))[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_demos_policy_is_tiny() -> None:
    model, _ = prime(Priming(steps=1, batch=2))
    assert model.num_parameters() < 500_000


def test_a_policy_is_primed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cached_policy(SMALL)
    check_policy_path(str(path))
    assert cache in path.parents
    assert [entry.name for entry in path.parent.iterdir()] == [SMALL.name], "nothing is left beside it"

    def again(priming: Priming) -> None:
        raise AssertionError("primed a second time")

    monkeypatch.setattr("exprl.worlds.policy.prime", again)
    started = time.perf_counter()
    assert cached_policy(SMALL) == path
    assert time.perf_counter() - started < 1.0


def test_every_setting_and_the_world_itself_change_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {Priming().name, *(Priming(**{key: value + 1}).name for key, value in _settings(Priming()).items())}
    assert len({*names, Priming(world="mixed").name}) == 2 + len(_settings())
    before = Priming().name
    monkeypatch.setattr("exprl.worlds.chain.boxed", lambda value: f"\\boxed{{{value}}}.")
    assert Priming().name != before


def test_a_priming_that_another_process_finished_first_is_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prime(SMALL)

    def meanwhile(priming: Priming) -> object:
        with monkeypatch.context() as patch:
            patch.setattr("exprl.worlds.policy.prime", lambda priming: made)
            cached_policy(priming)
        return made

    monkeypatch.setattr("exprl.worlds.policy.prime", meanwhile)
    path = cached_policy(SMALL)
    check_policy_path(str(path))
    assert [entry.name for entry in path.parent.iterdir()] == [SMALL.name]


def test_a_full_disk_leaves_no_half_policy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    class Unsaved:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "config.json").write_text("{}")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("exprl.worlds.policy.prime", lambda priming: (Unsaved(), Unsaved()))
    with pytest.raises(RunError, match="no room on the disk"):
        cached_policy(SMALL)
    assert list((cache / "worlds").iterdir()) == []


def _settings(priming: Priming = SMALL) -> dict[str, int]:
    """All that is a number."""
    return {name: getattr(priming, name) for name in Priming.__dataclass_fields__ if name != "world"}
