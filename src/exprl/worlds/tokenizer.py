"""The worlds' tokenizers: one token a digit, an operation, a word, a piece of code or the marker; nothing is downloaded.

`###` is a single token here, as it is in the vocabularies of most large models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exprl.worlds.chain import LONG_STEPS, MARKER, OPERATIONS
from exprl.worlds.table import CLOSE, DEFINE, IF, NOTE, OPEN, RETURN, ROWS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["CODE_PIECES", "PIECES", "make_tokenizer"]

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
CODE_PIECES = (ROWS, OPEN, DEFINE, NOTE, IF, RETURN, ")", "\n", CLOSE)
"""What the table world needs besides."""


def make_tokenizer(pieces: Sequence[str] = PIECES) -> PreTrainedTokenizerFast:
    """A transformers tokenizer over `pieces`."""
    import re

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    longest_first = sorted(pieces, key=len, reverse=True)
    pattern = Regex("|".join(re.escape(piece) for piece in longest_first))
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
