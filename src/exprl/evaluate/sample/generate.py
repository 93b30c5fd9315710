"""The sampling loop over a transformers causal language model: the full softmax at a temperature, until a stop token.

    next token ~ softmax(logits / temperature), in float32; temperature 0 takes the most likely one

What it does beyond `model.generate` is to do less: equal prompts (the rollouts of a group) are read once, and rows that
have ended leave the batch, so their share of a long tail is not computed. Nothing of the model's generation_config is
asked. Randomness comes from torch's global generator: the same state gives the same samples on the same kind of machine.

What it refuses: an encoder-decoder model.

    >>> generate(model, [[5, 6], [5, 6]], temperature=1.0, max_tokens=8, stops=[1])  # doctest: +SKIP
    [[9, 4, 1], [7, 7, 2, 8, 9, 9, 3, 1]]
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from exprl.errors import EngineError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["generate"]

_DROP_BELOW = 0.9
"""Rows that have ended leave the batch when fewer than this share of it goes on: moving the cache costs a little."""


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    temperature: float,
    max_tokens: int,
    stops: Collection[int],
) -> list[list[int]]:
    """Sample one continuation of every prompt.

    Args:
        prompts: R token ids; a group is one prompt given several times.
        max_tokens: tokens at most; a continuation that reaches it need not end with a stop token.
        stops: tokens that end a continuation, and are its last.
    Returns:
        R lists of up to `max_tokens` token ids.
    Raises:
        EngineError: an encoder-decoder model.
    """
    import torch

    if not prompts:
        return []
    ended = torch.tensor(sorted(stops), device=model.device)
    sampled = torch.zeros((len(prompts), max_tokens), dtype=torch.long, device=model.device)
    length = torch.full((len(prompts),), max_tokens, device=model.device)
    row = torch.arange(len(prompts), device=model.device)
    going = torch.ones_like(row, dtype=torch.bool)
    with torch.no_grad():
        reader = _Reader(model, prompts, max_tokens)
        for step in range(max_tokens):
            token = _draw(reader.logits, temperature)
            sampled[row[going], step] = token[going]
            stopped = going & torch.isin(token, ended)
            length[row[stopped]] = step + 1
            going &= ~stopped
            count = int(going.sum())
            if count == 0 or step + 1 == max_tokens:
                break
            if count < _DROP_BELOW * len(row):
                kept = going.nonzero()[:, 0]
                reader.keep(kept)
                row, token, going = row[kept], token[kept], going[kept]
            reader.read(token)
    return [ids[:end] for ids, end in zip(sampled.tolist(), length.tolist(), strict=True)]


def _draw(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """(R,) one token a row of (R, V) logits."""
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, dim=-1), 1)[:, 0]


class _Reader:
    """The model with its cache: `logits` (R, V) of the next token, after what was read so far."""

    logits: torch.Tensor

    def __init__(self, model: PreTrainedModel, prompts: Sequence[Sequence[int]], room: int) -> None:
        import torch
        from transformers import DynamicCache

        if model.config.is_encoder_decoder:
            raise EngineError("a policy is a causal language model; this one has an encoder and a decoder")
        self._model = model
        self._names = _arguments(model)
        self._cache = DynamicCache(config=model.config)
        number: dict[tuple[int, ...], int] = {}
        place = torch.tensor([number.setdefault(tuple(ids), len(number)) for ids in prompts], device=model.device)
        ids, self._mask = _left_padded(list(number), model.device)
        self._position = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        self._width = ids.shape[1]
        self._forward(ids)
        self.keep(place)
        self._position = self._position[:, -1:]
        self._mask = torch.nn.functional.pad(self._mask, (0, room), value=1)

    def read(self, token: torch.Tensor) -> None:
        """Read one more token (R,) a row."""
        self._width += 1
        self._position = self._position + 1
        self._forward(token[:, None])

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows alone, in this order; a row may be taken several times."""
        self._cache.reorder_cache(rows)
        self.logits, self._mask, self._position = self.logits[rows], self._mask[rows], self._position[rows]

    def _forward(self, ids: torch.Tensor) -> None:
        inputs = {
            "input_ids": ids,
            "attention_mask": self._mask[:, : self._width],
            "position_ids": self._position,
            "past_key_values": self._cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        output = self._model(**{name: value for name, value in inputs.items() if name in self._names})
        self.logits = output.logits[:, -1]


def _arguments(model: PreTrainedModel) -> Collection[str]:
    """What the model's forward takes: some know no position ids, some cannot leave out logits."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inspect.signature(type(base).forward).parameters.keys()


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(R, T) token ids and attention mask, prompts flush right so that every answer starts in the same column."""
    import torch

    width = max(len(ids) for ids in prompts)
    ids = torch.zeros((len(prompts), width), dtype=torch.long)  # any token will do where the mask is 0
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
