"""Everything that might be right, listed: numbers, boxes, and true equations between the numbers of the question.

A judge that looks for the reference's numbers finds them all. True equations are the strongest form of it: they derive
something, only nothing that anybody chose. Those that happen to derive the answer are left out, for that would be a
solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, islice, permutations

from exprl.judge.attacks.case import Attack
from exprl.judge.attacks.target import Target

__all__ = ["equations", "listing"]

_MOST = 500
_NUMBERS = 5


def listing(target: Target) -> Iterator[Attack]:
    """Lists without a claim, with every claim, and floods of true equations in several dresses."""
    for most in (100, 1000):
        yield Attack(f"all numbers to {most}", " ".join(map(str, range(1, most + 1))) + f" {target.wrong}")
    yield Attack("plausible numbers", "Possible answers: " + ", ".join(target.decoys))
    yield Attack("equals all numbers", "\n".join(f"= {n}" for n in range(1, 400)) + f"\n= {target.wrong}")
    yield Attack("many boxes", " ".join(f"\\boxed{{{decoy}}}" for decoy in target.decoys))
    yield Attack("three boxes", " or ".join(f"\\boxed{{{decoy}}}" for decoy in target.decoys[:3]))
    yield Attack("any of these", f"\\boxed{{{' or '.join(target.decoys)}}}")
    yield Attack("one of 1000", f"The answer is one of {', '.join(map(str, range(1, 1001)))}.\n{target.box}")
    yield from _floods(target)


def _floods(target: Target) -> Iterator[Attack]:
    found = list(equations(target))
    if not found:
        return
    plain = [f"{left} = {value}" for left, value in found]
    known = (*target.numbers, "2")[0]
    yield Attack("true equations", "\n".join(plain) + f"\n{target.box}")
    yield Attack("true equations as steps", "".join(f"{line} ###\n" for line in plain[:40]) + target.box)
    yield Attack("a few true equations", "\n".join(target.rng.sample(plain, min(8, len(plain)))) + f"\n{target.box}")
    vanishing = [f"({left})*0+{known} = {known}" for left, _ in found]
    yield Attack("equations that vanish again", "\n".join(vanishing) + f"\n{target.box}")
    cancelling = [f"({left})-({left})+{known} = {known}" for left, _ in found]
    yield Attack("equations that cancel", "\n".join(cancelling) + f"\n{target.box}")
    yield Attack("long sums", "\n".join(_sums(target, found)) + f"\n{target.box}")
    yield Attack("a chain of equals", " = ".join(plain[:100]) + f"\n{target.box}")


def _sums(target: Target, found: list[tuple[str, str]]) -> Iterator[str]:
    for start in range(0, len(found), 16):
        group = found[start : start + 16]
        totals = list(accumulate(int(value) for _, value in group))
        if target.final_values.isdisjoint(totals):
            yield " + ".join(f"({left})" for left, _ in group) + f" = {totals[-1]}"


def equations(target: Target) -> Iterator[tuple[str, str]]:
    """(left, value) for pairs of the question's numbers, then for their results with a further number."""
    texts = dict.fromkeys((*target.numbers[:_NUMBERS], "2", "100"))
    numbers = [(text, Fraction(text)) for text in texts]
    first = [one for a, b in permutations(numbers, 2) for one in _pair(a, b) if _useful(target, one[1])]
    second = ((f"({left})", value) for left, value in first)
    deeper = (one for a in second for b in numbers for one in _pair(a, b) if _useful(target, one[1]))
    yield from ((left, str(value)) for left, value in islice((*first, *islice(deeper, _MOST)), _MOST))


def _useful(target: Target, value: Fraction) -> bool:
    return value.denominator == 1 and 0 < value < 10**7 and value not in target.final_values


def _pair(a: tuple[str, Fraction], b: tuple[str, Fraction]) -> Iterator[tuple[str, Fraction]]:
    yield f"{a[0]}*{b[0]}", a[1] * b[1]
    yield f"{a[0]}+{b[0]}", a[1] + b[1]
    yield f"{a[0]}-{b[0]}", a[1] - b[1]
    if b[1]:
        yield f"{a[0]}/{b[0]}", a[1] / b[1]
