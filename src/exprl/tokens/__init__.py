"""Spans of characters to spans of tokens, exact for every tokenizer.

pieces    the bytes of every token in one table: ids -> text and token ends, as array operations     (pure)
sketch    the marker rule on ids alone, without their text                                          (pure)
learn     a tokenizer -> its table, checked against the tokenizer's own decoder
prefixes  the exact way for a decoder that no table can reproduce: bisection over decoded prefixes
map       `TokenMap`: which segment does each token belong to
"""

from exprl.tokens.map import TokenMap, segment_of_token

__all__ = ["TokenMap", "segment_of_token"]
