"""The chain world's tokenizer: one token a digit, an operation, a word or the marker; nothing is downloaded.

`###` is a single token here, as it is in the vocabularies of most large models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exprl.worlds.chain import LONG_STEPS, MARKER, OPERATIONS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["PIECES", "make_tokenizer"]

STEPS = range(1, max(LONG_STEPS) + 1)
PAD, END = "<pad>", "<eos>"
PIECES = (
    PAD,
    END,
    *"0123456789",
    *OPERATIONS,
    *("(", "+(", ")=", " steps from ", ":", MARKER, " wait", "\\boxed{", "}"),
    *(f" {step}) " for step in STEPS),
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A transformers tokenizer over `PIECES`."""
    import re

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    longest_first = sorted(PIECES, key=len, reverse=True)
    pattern = Regex("|".join(re.escape(piece) for piece in longest_first))
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(PIECES)}, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
