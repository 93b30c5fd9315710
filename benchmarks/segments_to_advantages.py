"""Token ids to per-token advantages: table look-ups against the usual loop that decodes token by token.

576 rollouts x 16,384 tokens x 8 segments (one step of the paper's Process arm), on one core. Both sides are given
padded ids, lengths and segment scores, find the segments themselves, and give every token's advantage by DeltaNorm.
Seconds are of this process on its one core, so that a busy machine slows neither side.

The usual way decodes each token, holds back bytes until they are a character, adds the piece to the text so far, and
moves to the next segment where the text has passed its end. It is linear in the number of tokens and is timed on the
first rollouts only (all of them with --full); its time for all is scaled from those, and the table says so.

The tokenizer is a byte-level BPE, trained here on generated text: nothing is downloaded.

    python benchmarks/segments_to_advantages.py [--full]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from exprl.advantages import process_advantages, token_advantages
from exprl.config import SegmentConfig
from exprl.segment import split
from exprl.tokens import TokenMap

ROLLOUTS, TOKENS, SEGMENTS, GROUP = 576, 16_384, 8, 16
SAMPLE = 24
SECONDS_GOAL, RATIO_GOAL, ERROR_GOAL = 2.0, 200.0, 1e-6
RULE = SegmentConfig()

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """What both sides are given: (R, T) ids, (R,) lengths, (R, S) scores, (R,) counts and groups."""

    ids_RT: Ints
    length_R: Ints
    scores_RS: Floats
    count_R: Ints
    group_R: Ints


def write_text(rng: np.random.Generator, words: int) -> str:
    """Prose of sums, with headings that are no markers, emoji, accents, CRLF and Chinese characters."""
    nouns = ["sum", "angle", "prime", "root", "naïve bound", "case", "lemma", "limit", "零点", "积分", "🙂", "∑"]
    verbs = ["gives", "is", "bounds", "so we check", "hence", "wait,", "therefore", "#### Note:\r\n"]
    pieces = []
    for _ in range(words):
        noun, verb = rng.choice(nouns, p=[0.136] * 7 + [0.0096] * 5), rng.choice(verbs, p=[0.1425] * 7 + [0.0025])
        pieces.append(
            f"The {noun} {verb} {rng.integers(1000)} + {rng.integers(100)}.{' ' if rng.random() < 0.8 else chr(10)}"
        )
    return "".join(pieces)


def train_tokenizer(rng: np.random.Generator) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 4,096 tokens, as GPT-2, Llama 3 and Qwen have, in small."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([write_text(rng, 4000) + " ### done"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")


def make_step(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast) -> Step:
    """Rollouts of 8 segments cut out of encoded text; one in eight is shorter than the rest; scores are Likert."""
    pool = np.array(tokenizer.encode(write_text(rng, 20_000)))
    marker = [np.array(tokenizer.encode(text)) for text in ("\n###\n", " ###\r\n\r\n", "😀###\n")]
    ids_RT = np.full((ROLLOUTS, TOKENS), tokenizer.pad_token_id)
    length_R = np.where(np.arange(ROLLOUTS) % 8, TOKENS, rng.integers(TOKENS // 2, TOKENS, ROLLOUTS))
    for row, length in zip(ids_RT, length_R, strict=True):
        row[: length - 1] = pool[(start := rng.integers(len(pool) - TOKENS)) : start + length - 1]
        for cut in np.sort(rng.choice(length // 64 - 2, SEGMENTS - 1, replace=False) + 1) * 64:
            chosen = marker[rng.integers(len(marker))]
            row[cut : cut + len(chosen)] = chosen
    scores_RS = rng.integers(0, 5, (ROLLOUTS, SEGMENTS)) / 4
    return Step(ids_RT, length_R, scores_RS, np.full(ROLLOUTS, SEGMENTS), np.arange(ROLLOUTS) // GROUP)


def by_table(token_map: TokenMap, step: Step) -> Floats:
    """exprl's way."""
    segment_RT = token_map.segment_batch(step.ids_RT, step.length_R, RULE)
    advantages_RS = process_advantages(
        step.scores_RS, step.count_R, step.group_R, truncated_R=np.zeros(len(step.count_R), dtype=bool)
    )
    return token_advantages(advantages_RS, segment_RT)


def by_loop(tokenizer: PreTrainedTokenizerFast, step: Step, rollouts: int) -> Floats:
    """The usual way, on the first rollouts."""
    advantages_RT = np.zeros((rollouts, TOKENS))
    for r in range(rollouts):
        ids = step.ids_RT[r, : step.length_R[r]].tolist()
        text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ends = [segment.end for segment in split(text, RULE)]
        scores = step.scores_RS[r].tolist()
        credit = [scores[0] - scores[-1]] + [b - a for a, b in pairwise(scores)]
        so_far, segment, begin = "", 0, 0
        held: list[int] = []
        row: list[float] = []
        for token in ids:
            if not held:
                begin = len(so_far)
            held.append(token)
            piece = tokenizer.decode(held, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if piece and begin >= ends[segment]:
                segment += 1
            row.append(credit[segment])
            if not piece.endswith("\ufffd"):
                so_far += piece
                held = []
        advantages_RT[r, : len(row)] = row
    return advantages_RT


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="time the usual loop on every rollout")
    sample = ROLLOUTS if parser.parse_args().full else SAMPLE
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    tokenizer = train_tokenizer(rng)
    step = make_step(rng, tokenizer)

    start = time.process_time()
    token_map = TokenMap.from_tokenizer(tokenizer)
    build = time.process_time() - start
    ours, seconds = np.empty(0), []
    for _ in range(5):
        start = time.process_time()
        ours = by_table(token_map, step)
        seconds.append(time.process_time() - start)
    start = time.process_time()
    peer = by_loop(tokenizer, step, sample)
    sampled = time.process_time() - start

    table, loop = float(np.median(seconds)), sampled * step.length_R.sum() / step.length_R[:sample].sum()
    error, ratio = float(np.abs(ours[:sample] - peer).max()), loop / table
    scaled = "timed" if sample == ROLLOUTS else f"{sampled:.1f} s on {sample} rollouts, scaled by tokens"
    print(f"{ROLLOUTS} rollouts x {TOKENS} tokens x {SEGMENTS} segments, one core, vocabulary {len(tokenizer)}")
    print(f"{'way':<24}{'seconds':>9}  {'note'}")
    print(f"{'exprl':<24}{table:>9.3f}  median of 5; once a tokenizer: {build:.3f} s for its table")
    print(f"{'decode token by token':<24}{loop:>9.1f}  {scaled}")
    print(
        f"{'largest difference':<24}{error:>9.1g}  on {int(step.length_R[:sample].sum())} tokens (goal {ERROR_GOAL:g})"
    )
    good = table <= SECONDS_GOAL and ratio >= RATIO_GOAL and error <= ERROR_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {table:.3f} s (goal <= {SECONDS_GOAL:g} s), "
        f"{ratio:.0f} times faster (goal >= {RATIO_GOAL:g})"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
