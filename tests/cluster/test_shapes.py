"""Shapes of models: parameters, KV bytes and FLOPs by hand, and what a config.json must say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exprl.cluster.shape import Shape, shape_of
from exprl.errors import ConfigError

TINY = Shape(layers=2, hidden=4, heads=2, kv_heads=1, head_size=2, feed_forward=8, vocabulary=10)


def test_a_tiny_model_by_hand() -> None:
    # a layer: 2 x 4 x 2 x (2 + 1) of attention, 3 x 4 x 8 of MLP; embedding 10 x 4, once
    assert TINY.parameters == 2 * (48 + 96) + 40
    assert TINY.weight_bytes == 2 * 328
    assert TINY.kv_bytes == 2 * 2 * 1 * 2 * 2
    assert TINY.flops(41) == 2 * 328 + 4 * 2 * 2 * 2 * 41


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("Qwen/Qwen3-0.6B", 0.596),
        ("Qwen/Qwen3-4B-Instruct-2507", 4.02),
        ("Qwen/Qwen3-8B", 8.19),
        ("Qwen/Qwen3-32B", 32.8),
    ],
)
def test_known_models_have_the_size_that_their_makers_state(model: str, billions: float) -> None:
    assert shape_of(model).parameters / 1e9 == pytest.approx(billions, rel=0.005)


def test_a_folders_config_is_read(tmp_path: Path) -> None:
    given = {
        "num_hidden_layers": 2,
        "hidden_size": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 8,
        "vocab_size": 10,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(given))
    assert shape_of(str(tmp_path)) == shape_of(str(tmp_path / "config.json")) == TINY
    (tmp_path / "config.json").write_text(json.dumps(given | {"head_dim": 4, "tie_word_embeddings": False}))
    assert shape_of(str(tmp_path)).head_size == 4
    assert shape_of(str(tmp_path)).tied is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "'num_attention_heads' should be a number above 0"),
        ('{"num_attention_heads": -3}', "got '-3'"),
        ('{"num_attention_heads": true}', "got 'True'"),
        ('{"num_experts": 8}', "mixture of experts"),
    ],
)
def test_a_config_that_describes_no_dense_model_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=said):
        shape_of(str(tmp_path))


def test_an_unknown_model_says_what_would_help() -> None:
    with pytest.raises(ConfigError, match=r"the shape of 'a/b' is not known; give a folder with its config\.json"):
        shape_of("a/b")
