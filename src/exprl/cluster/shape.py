"""What of a language model's shape its cost depends on.

For a decoder-only transformer with grouped queries and a gated MLP (Llama, Qwen, Mistral and their like), in bf16:

    N   parameters           embedding (twice where untied) + L (2 d h e + 2 d k e + 3 d f)
    κ   KV bytes a token     2 (key and value) x L x k x e x 2 bytes
    f   FLOPs a token        2 N + 4 L h e c    forward, with c tokens of context before it

L layers, d hidden size, h heads, k key-value heads, e head size, f feed-forward size. Norms and biases are left out: they
are below a thousandth. Mixtures of experts are refused: their cost depends on which experts a token meets.

    >>> shape_of("Qwen/Qwen3-4B-Instruct-2507").parameters / 1e9
    4.0221...
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from exprl.errors import ConfigError

__all__ = ["BYTES", "Shape", "shape_of"]

BYTES = 2
"""Of one number in bf16."""

_KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a model's `config.json` that matter here."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    tied: bool = True

    @property
    def parameters(self) -> int:
        """N, without norms and biases."""
        attention = 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        block = attention + 3 * self.hidden * self.feed_forward
        return self.layers * block + self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def weight_bytes(self) -> int:
        """Of all parameters in bf16."""
        return BYTES * self.parameters

    @property
    def kv_bytes(self) -> int:
        """κ: what one token leaves in the KV cache, in bf16."""
        return 2 * self.layers * self.kv_heads * self.head_size * BYTES

    def flops(self, context: float) -> float:
        """Of one token's forward pass, with so many tokens before it."""
        return 2.0 * self.parameters + 4.0 * self.layers * self.heads * self.head_size * context


_KNOWN = {
    "Qwen/Qwen3-0.6B": Shape(28, 1024, 16, 8, 128, 3072, 151_936),
    "Qwen/Qwen3-1.7B": Shape(28, 2048, 16, 8, 128, 6144, 151_936),
    "Qwen/Qwen3-4B": Shape(36, 2560, 32, 8, 128, 9728, 151_936),
    "Qwen/Qwen3-4B-Instruct-2507": Shape(36, 2560, 32, 8, 128, 9728, 151_936),
    "Qwen/Qwen3-8B": Shape(36, 4096, 32, 8, 128, 12_288, 151_936, tied=False),
    "Qwen/Qwen3-14B": Shape(40, 5120, 40, 8, 128, 17_408, 151_936, tied=False),
    "Qwen/Qwen3-32B": Shape(64, 5120, 64, 8, 128, 25_600, 151_936, tied=False),
}


def shape_of(model: str) -> Shape:
    """The shape of a model: a known Hub id, or a folder with a `config.json` (or that file itself). Nothing is fetched.

    Raises:
        ConfigError: neither is there, or the file does not describe a dense transformer.
    """
    if model in _KNOWN:
        return _KNOWN[model]
    path = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
    if path.suffix != ".json" or not path.is_file():
        raise ConfigError(
            f"the shape of {model!r} is not known; give a folder with its config.json, or one of {', '.join(_KNOWN)}"
        )
    return _read(path)


def _read(path: Path) -> Shape:
    try:
        found: object = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {type(error).__name__}") from None
    given = found if isinstance(found, dict) else {}
    if any("expert" in str(key) for key in given):
        raise ConfigError(
            f"{path}: a mixture of experts; its cost a token depends on the experts, which is not modelled"
        )
    heads = _number(given, _KEYS["heads"], path)
    defaults = {"kv_heads": heads}
    numbers = {name: _number(given, key, path, defaults.get(name)) for name, key in _KEYS.items()}
    size = _number(given, "head_dim", path, numbers["hidden"] // heads)
    return Shape(**numbers, head_size=size, tied=given.get("tie_word_embeddings") is True)


def _number(given: dict[str, object], key: str, path: Path, default: int | None = None) -> int:
    value = given.get(key, default)
    if type(value) is not int or value <= 0:
        raise ConfigError(f"{path}: {key!r} should be a number above 0, got {str(value)[:40]!r}")
    return value
