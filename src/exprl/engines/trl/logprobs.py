"""Log-probabilities of given tokens under a causal language model, without gradient.

    log p(token_t | prompt, token_<t) at a temperature: log softmax(logits / temperature), in float32

Rows of like length go through the model together. Logits of long rows are turned into float32 in blocks: those of 16,000
tokens over a vocabulary of 150,000 would be 10 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from exprl.methods.batch import Floats

if TYPE_CHECKING:
    import torch

__all__ = ["token_log_probs"]

_BLOCK = 2048


def token_log_probs(
    model: Any,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    temperature: float,
    rows: int = 64,
) -> list[Floats]:
    """R arrays (T_r,): the log-probability of each completion token after its prompt.

    Args:
        rows: that go through the model at once.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]) + len(completions[i]))
    found: list[Floats] = [np.zeros(0)] * len(order)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(order), rows):
                chosen = order[start : start + rows]
                some = _some(model, [prompts[i] for i in chosen], [completions[i] for i in chosen], temperature)
                for i, row in zip(chosen, some, strict=True):
                    found[i] = row
    finally:
        model.train(training)
    return found


def _some(
    model: Any, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], temperature: float
) -> Iterator[Floats]:
    import torch

    width = max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for r, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        row = torch.tensor([*prompt, *completion])
        ids[r, : len(row)], mask[r, : len(row)] = row, 1
    first = min(len(prompt) for prompt in prompts) - 1  # the logits there say what follows the shortest prompt
    ids, mask = ids.to(model.device), mask.to(model.device)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=width - first).logits
    for r, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        start = len(prompt) - 1 - first
        yield _gathered(logits[r, start : start + len(completion)], ids[r, len(prompt) :], temperature)


def _gathered(logits_TV: torch.Tensor, ids: torch.Tensor, temperature: float) -> Floats:
    import torch

    parts = []
    for start in range(0, len(logits_TV), _BLOCK):
        scaled = logits_TV[start : start + _BLOCK].float() / temperature
        chosen = ids[start : start + len(scaled)]
        parts.append(scaled.gather(-1, chosen[:, None])[:, 0] - scaled.logsumexp(-1))
    return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float64) if parts else np.zeros(0)
