"""A world's policy: a tiny Llama, primed from random weights on the world's corpus, and cached.

About 120,000 parameters; priming takes a minute or two on one CPU core and happens once: the checkpoint is kept in the
user's cache (`EXPRL_CACHE` overrides the folder) under a name that changes with every setting that shapes it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from exprl.disk.files import disk_room
from exprl.errors import EngineError
from exprl.worlds import chain, table
from exprl.worlds.tokenizer import CODE_PIECES, PIECES, make_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["Priming", "World", "cached_policy", "prime"]

World = Literal["chain", "mixed"]


@dataclass(frozen=True, slots=True)
class Priming:
    """How the policy is made. The defaults are the demo's; a test may ask for less."""

    world: World = "chain"
    seed: int = 0
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 4e-3
    width: int = 64
    layers: int = 2
    heads: int = 4
    feed_forward: int = 192
    positions: int = 512  # a teacher of self-distillation reads problem, reference and answer

    @property
    def name(self) -> str:
        """A folder's name that changes with the settings and the world, of which a piece of the corpus is a print."""
        text = json.dumps([asdict(self), self.pieces, list(itertools.islice(self.corpus(), 256))])
        return f"{self.world}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def pieces(self) -> tuple[str, ...]:
        """The vocabulary."""
        return PIECES if self.world == "chain" else (*PIECES, *CODE_PIECES)

    def corpus(self) -> Iterator[tuple[str, str]]:
        """Endless (problem, trace) pairs; the mixed world's chains and tables take turns."""
        chains = chain.corpus(self.seed)
        if self.world == "chain":
            return chains
        return itertools.chain.from_iterable(zip(chains, table.corpus(self.seed), strict=False))


def cached_policy(priming: Priming = Priming()) -> Path:
    """The primed policy's checkpoint, made on first use.

    Raises:
        EngineError: the `train` extra is not installed.
        RunError: no room on the disk.
    """
    import platformdirs

    from exprl.engines.trl.surroundings import quiet

    root = Path(os.environ.get("EXPRL_CACHE") or platformdirs.user_cache_dir("exprl")) / "worlds"
    target = root / priming.name
    if not (target / "config.json").is_file():
        root.mkdir(parents=True, exist_ok=True)
        model, tokenizer = prime(priming)
        with tempfile.TemporaryDirectory(dir=root, prefix=".priming-") as draft, disk_room(target):
            aside = Path(draft) / priming.name
            with quiet():
                model.save_pretrained(aside)
            tokenizer.save_pretrained(aside)
            try:
                aside.rename(target)
            except OSError:
                if not (target / "config.json").is_file():  # else another process was first, and made the same
                    raise
    return target


def prime(priming: Priming) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train the policy on the corpus: cross-entropy on the traces, AdamW, cosine rate with a short warm-up."""
    try:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise EngineError(f"the embedded world needs the train extra: pip install 'exprl[train]' ({error})") from error
    tokenizer = make_tokenizer(priming.pieces)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many times faster than two for a model of this size
    torch.manual_seed(priming.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(priming.pieces),
            hidden_size=priming.width,
            intermediate_size=priming.feed_forward,
            num_hidden_layers=priming.layers,
            num_attention_heads=priming.heads,
            num_key_value_heads=priming.heads,
            max_position_embeddings=priming.positions,
            tie_word_embeddings=True,
            initializer_range=0.08,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=priming.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    for step, batch in enumerate(itertools.islice(_batches(priming), priming.steps)):
        for group in optimiser.param_groups:
            group["lr"] = priming.learning_rate * _rate(step, priming.steps)
        ids, labels = _tensors(batch, tokenizer)
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    torch.set_num_threads(threads)
    return model.eval(), tokenizer


def _batches(priming: Priming) -> Iterator[list[tuple[str, str]]]:
    """Batches of traces of like length, so that little is spent on padding, in random order."""
    pairs, rng = priming.corpus(), random.Random(priming.seed)
    while True:
        pool = sorted(itertools.islice(pairs, 32 * priming.batch), key=lambda pair: len(pair[0]) + len(pair[1]))
        batches = [pool[start : start + priming.batch] for start in range(0, len(pool), priming.batch)]
        rng.shuffle(batches)
        yield from batches


def _rate(step: int, steps: int) -> float:
    """Warm-up over 50 steps, then a cosine down to 5 %."""
    return min(1.0, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _tensors(batch: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast):  # type: ignore[no-untyped-def]
    """(B, T) ids padded on the right, and labels that count the traces only."""
    import torch

    prompts = tokenizer([problem for problem, _ in batch])["input_ids"]
    traces = tokenizer([trace for _, trace in batch])["input_ids"]
    rows = [torch.tensor([*p, *t, tokenizer.eos_token_id]) for p, t in zip(prompts, traces, strict=True)]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    labels = ids.clone()
    for i, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        labels[i, : len(prompt)] = -100
        labels[i, len(row) :] = -100
    return ids, labels
