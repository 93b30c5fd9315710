"""Final answers in mathematics: exact path, memo and a killable worker against math-verify in a row.

10,000 pairs of a stored answer and a trace, 30 % of them repeated, in the mix of a mathematics run: whole numbers,
fractions, decimals, words, tuples, sets and algebra, half of them right; 0.5 % are bombs. The truth of every pair is
known from how it was made. The peer parses and compares each clean pair with math-verify in this process, with its own
time limits; a bomb may stop that way for good, so it gets none. exprl starts its worker within its time.

Each bomb then goes to exprl alone, followed by a plain comparison: that one must be right, and is timed too.

    python benchmarks/verify_math.py [--quick]        (--quick: a tenth of the pairs and of the bombs)
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from math_verify import parse, verify

from exprl.types import Problem, Reference
from exprl.verify import MathVerifier

PAIRS, REPEATED, BOMBS = 10_000, 0.3, 0.005
RATIO_GOAL, BOMB_GOAL = 2.0, 2.2
TIMEOUT = 2.0


class Pair(NamedTuple):
    """A stored answer, a stated one, and whether they are equal."""

    gold: str
    answer: str
    equal: bool


def make_pair(rng: random.Random) -> Pair:
    """One clean pair."""
    a, b, c, equal = rng.randint(2, 9999), rng.randint(2, 99), rng.randint(2, 99), rng.random() < 0.5
    d = 0 if equal else rng.randint(1, 9)
    kinds: list[Callable[[], Pair]] = [
        lambda: Pair(str(a), f"{a + d}", equal),
        lambda: Pair(f"{a:,}", rf"{a + d}\text{{ apples}}", equal),
        lambda: Pair(rf"\frac{{{a}}}{{{b}}}", rf"\dfrac{{{(a + d) * 3}}}{{{b * 3}}}", equal),
        lambda: Pair(f"{a / 8}", rf"\frac{{{a + d}}}{{8}}", equal),
        lambda: Pair(rng.choice(["Ann", "Bob"]), "Zoe", False),
        lambda: Pair(f"({a}, {b})", rf"\left({a}, {b + d}\right)", equal),
        lambda: Pair(rf"\{{{a}, {a + b}\}}", rf"\{{{a + b}, {a + d}\}}", equal),
        lambda: Pair(rf"{a} + {b}\sqrt{{{c * c + 1}}}", rf"{b}\sqrt{{{c * c + 1}}} + {a + d}", equal),
        lambda: Pair(f"x^2 + {a}x + {b}", f"{b} + {a + d}x + x^2", equal),
        lambda: Pair(f"(x+{b})(x+{c})", f"x^2 + {b + c}x + {b * c + d}", equal),
        lambda: Pair(rf"{a}\pi", rf"\pi \cdot {a + d}", equal),
    ]
    return rng.choices(kinds, weights=[45, 5, 12, 5, 3, 6, 4, 5, 5, 5, 5])[0]()


def make_bombs(count: int) -> list[str]:
    """Expressions that no algebra finishes."""
    shapes = [
        "9^{{9^{{9^{{{n}}}}}}}",
        "(1+x)^{{1000{n}}}",
        "1000000{n}!",
        r"\sum_{{i=1}}^{{10^7}} \frac{{1}}{{i+{n}}}",
        r"\prod_{{i=1}}^{{10^7}} (i+{n})",
        "2^{{2^{{2^{{2^{{2^{{{n}}}}}}}}}}}",
        r"\binom{{10^9}}{{5\cdot 10^8+{n}}}",
        r"\int_0^{{{n}}} x^{{x^x}} dx",
        "{n}e999999999",
    ]
    deep = ["(" * 400 + "{n}" + ")" * 400, r"\frac{{" * 90 + "{n}" + "}}{{2}}" * 90]
    return [[*shapes, *deep][n % 11].format(n=n + 2) for n in range(count)]


def by_math_verify(pairs: list[Pair]) -> tuple[float, int]:
    """Seconds and wrong verdicts of the peer."""
    start = time.perf_counter()
    got = [verify(parse(f"\\boxed{{{p.gold}}}"), parse(f"\\boxed{{{p.answer}}}")) for p in pairs]
    return time.perf_counter() - start, sum(one != p.equal for one, p in zip(got, pairs, strict=True))


def grade(verifier: MathVerifier, pairs: list[Pair]) -> tuple[float, list[float | None]]:
    """Seconds and scores of exprl."""
    asked = [
        (Problem(str(n), "?", Reference(None, p.gold)), f"Thus \\boxed{{{p.answer}}}.") for n, p in enumerate(pairs)
    ]
    start = time.perf_counter()
    scores = [verdict.score for verdict in verifier.verify(asked)]
    return time.perf_counter() - start, scores


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the pairs and of the bombs")
    count = PAIRS // 10 if parser.parse_args().quick else PAIRS
    logging.disable(logging.CRITICAL)
    rng = random.Random(0)
    bombs = make_bombs(round(count * BOMBS))
    distinct = [make_pair(rng) for _ in range(round(count * (1 - REPEATED)) - len(bombs))]
    pairs = distinct + [rng.choice(distinct) for _ in range(count - len(bombs) - len(distinct))]
    rng.shuffle(pairs)

    verifier = MathVerifier(timeout=TIMEOUT)
    ours, scores = grade(verifier, pairs)
    wrong = sum(score != float(p.equal) for score, p in zip(scores, pairs, strict=True))
    peer, peer_wrong = by_math_verify(pairs)

    bomb_seconds, next_seconds, accepted, unscored = [], [], 0, 0
    for n, bomb in enumerate(bombs):
        seconds, (score,) = grade(verifier, [Pair("7x", bomb, False)])
        bomb_seconds.append(seconds)
        accepted += score == 1.0
        unscored += score is None
        seconds, (score,) = grade(verifier, [Pair(f"x + {n}", f"{n} + x", True)])
        next_seconds.append(seconds)
        wrong += score != 1.0
    verifier.close()

    ratio, longest = peer / ours, max(bomb_seconds)
    print(f"{count} pairs, {REPEATED:.0%} repeated, {len(bombs)} bombs; one worker, limit {TIMEOUT:g} s")
    print(f"{'way':<28}{'seconds':>9}{'pairs/s':>9}{'wrong':>7}")
    print(f"{'exprl, with its start':<28}{ours:>9.2f}{len(pairs) / ours:>9.0f}{wrong:>7}")
    print(f"{'math-verify in a row':<28}{peer:>9.2f}{len(pairs) / peer:>9.0f}{peer_wrong:>7}")
    print(f"{'a bomb, longest':<28}{longest:>9.2f}{'':>9}{accepted:>7}  {unscored} unscored, the rest certain 0.0")
    print(
        f"{'comparison after it, longest':<28}{max(next_seconds):>9.2f}  median {sorted(next_seconds)[len(bombs) // 2]:.3f} s"
    )
    good = ratio >= RATIO_GOAL and wrong + accepted == 0 and longest <= BOMB_GOAL
    print(
        f"{'ok' if good else 'MISSED'}: {ratio:.1f} times serial math-verify (goal >= {RATIO_GOAL:g}), "
        f"{wrong + accepted} wrong (goal 0), {longest:.2f} s a bomb (goal <= {BOMB_GOAL:g} s)"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
