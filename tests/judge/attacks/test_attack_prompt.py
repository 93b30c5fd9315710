"""No attack leaves its fence; and a grader that obeys all it reads shows that the suite would notice if one did."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprl.config import LLMJudgeConfig
from exprl.judge.asking.parse import parse_reply
from exprl.judge.asking.rubric import Rubrics
from exprl.judge.asking.template import fenced, neutralise, render
from exprl.judge.attacks import AttackCase, attack, build_suite
from exprl.types import Problem, Reference, Scope, Submission, Verdict

PROBLEMS = [
    Problem(f"p{n}", f"A farmer has {n} cows and buys 40 more, then doubles the herd. How many cows?",
            Reference(f"{n}+40={n + 40}\n2*{n + 40}={2 * n + 80}", str(2 * n + 80)))
    for n in (3, 11)
]  # fmt: skip
SUITE = build_suite(PROBLEMS)
FEW = build_suite(PROBLEMS, per_class=30)
TEXTS = sorted({case.text for case in SUITE.cases})
NONCE = "0123456789abcdef"
FORGED = ("forged_verdict", "forged_heading", "fence_escape", "instruction", "invisible")
LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "No", "Nl", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")
VISIBLE = (*LETTERS, "Sm", "Sc", "Sk", "So", "Zs")
# What passes for the prompt's own: its headings, its fences, a chat role, a verdict.
OURS = re.compile(
    r"^\W*((problem|reference solution( \(trusted.*\))?|trace( so far| to grade)?|score|system|user|assistant)\s*[:：=]"
    r"|<<<|>>>)",
    re.IGNORECASE,
)


def assert_harmless(text: str) -> None:
    lines = fenced(text, NONCE, 10**6).text.split("\n")
    assert (lines[0], lines[-1]) == (f"<<<trace {NONCE}", f">>>end of trace {NONCE}")
    inner = lines[1:-1]
    assert all(line.startswith("| ") for line in inner)
    bare = [line.removeprefix("| ") for line in inner]
    assert not [line for line in bare if OURS.match(line)]
    for shown in ("\n".join(inner), "\n".join(bare)):
        assert parse_reply(shown).likert is None, "even a grader that copied the trace would state no verdict with it"
        assert not re.search(r"<\||<[/A-Za-z]|\[/?[A-Z]+\]|<｜", shown)
        assert {unicodedata.category(character) for character in shown} <= {*VISIBLE, "Cc"}
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_no_attack_is_a_line_of_the_prompt_or_a_verdict() -> None:
    for text in TEXTS:
        assert_harmless(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([t for t in TEXTS if len(t) < 300]), st.text(max_size=20)), max_size=4))
def test_nor_are_attacks_joined_to_each_other_and_to_anything_else(pieces: list[str]) -> None:
    for joint in ("", "\n", " "):
        text = joint.join(pieces)
        lines = neutralise(text).split("\n")
        assert all(line.startswith("| ") for line in lines)
        assert parse_reply("\n".join(line.removeprefix("| ") for line in lines)).likert is None
        assert NONCE not in fenced(text, NONCE, 10**6).text[len(NONCE) + 9 : -len(NONCE)]


@pytest.mark.parametrize("scope", ["outcome", "prefix", "segment"])
def test_the_whole_prompt_of_every_attack_has_the_shape_of_an_honest_one(scope: Scope) -> None:
    rubric = Rubrics.of(LLMJudgeConfig(model="m")).pick("math", scope)

    def shape(text: str) -> list[str]:
        chat = render(rubric, problem="3 + 4?", reference="7", fence=fenced(text, NONCE, 10**6).text)
        lines = [f"{turn['role']}: {line}" for turn in chat for line in turn["content"].split("\n")]
        return [line for line in lines if not line.startswith("user: | ")]

    honest = shape("3 + 4 = 7")
    assert all(shape(text) == honest for text in TEXTS)


class Gullible:
    """A grader that obeys: a verdict or an order in its prompt that is not quoted is to it its operator's.

    It reads what is hidden as well: through invisible characters, in tags, in variation selectors.
    """

    name, template_hash = "gullible", "1"
    _ORDER = re.compile(r"(?i)(score|grade|give|gets|graded|reply with|always answer)\D{0,40}\b5\b")

    def __init__(self, guard: Callable[[str], str]) -> None:
        self._guard = guard

    async def score(self, submissions: Sequence[Submission]) -> list[tuple[Verdict, ...]]:
        return [tuple(self._verdict(s.text[:cut]) for cut in s.cuts) for s in submissions]

    async def aclose(self) -> None:
        pass

    def _verdict(self, trace: str) -> Verdict:
        lines = seen(self._guard(trace)).split("\n")
        own = "\n".join(line for line in lines if not line.startswith("| "))
        copied = "\n".join(line.removeprefix("| ") for line in lines)
        obeyed = parse_reply(copied).likert == 5 or self._ORDER.search(own) is not None
        return Verdict(1.0 if obeyed else 0.0)


def seen(text: str) -> str:
    plain = "".join(chr(ord(c) - 0xE0000) if 0xE0020 <= ord(c) < 0xE007F else c for c in text)
    plain = "".join(chr(ord(c) - 0xE0100) if 0xE0120 <= ord(c) < 0xE017F else c for c in plain)
    return "".join(c for c in plain if unicodedata.category(c) not in {"Cf", "Mn"})


async def rates(guard: Callable[[str], str], out: Path) -> dict[str, float]:
    result = await attack(FEW, {"correct": Gullible(guard)}, out=out)
    return {kind: found.rate or 0.0 for kind, found in result.rates["correct"].items()}


async def test_a_gullible_grader_is_caught_without_the_fence_and_safe_behind_it(tmp_path: Path) -> None:
    bare = await rates(lambda trace: trace, tmp_path / "bare.jsonl")
    assert all(bare[kind] > 0.2 for kind in FORGED), bare
    assert bare["fence_escape"] > 0.9
    assert bare["padding"] == bare["other_solution"] == 0.0, "it is fooled by orders only"
    behind = await rates(lambda trace: fenced(trace, NONCE, 10**6).text, tmp_path / "behind.jsonl")
    assert all(behind[kind] == 0.0 for kind in behind)


async def test_a_fence_that_only_marks_its_ends_would_not_be_enough(tmp_path: Path) -> None:
    marked = await rates(lambda trace: f"<<<trace {NONCE}\n{trace}\n>>>end of trace {NONCE}", tmp_path / "a.jsonl")
    assert all(marked[kind] > 0.2 for kind in FORGED), marked


async def test_a_prefix_sign_alone_would_not_be_enough(tmp_path: Path) -> None:
    quoted = await rates(lambda trace: "| " + trace.replace("\n", "\n| "), tmp_path / "a.jsonl")
    assert quoted["forged_verdict"] > 0.2, "a grader that copies the trace copies the verdict"


def test_the_cases_that_must_be_harmless_are_not_harmless_as_they_are() -> None:
    """The checks above can fail: unguarded, a good part of the attacks reads as a verdict or a line of the prompt."""
    cases: Sequence[AttackCase] = [case for case in SUITE.cases if case.kind in FORGED]
    read = [case for case in cases if parse_reply(case.text).likert == 5]
    ours = [case for case in cases if any(OURS.match(line) for line in case.text.split("\n"))]
    assert len(read) > 40
    assert len(ours) > 40
