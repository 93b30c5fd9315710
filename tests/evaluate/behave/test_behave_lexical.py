"""The taxonomy and the annotator that needs no model: hand-written traces, and what no text can do to it."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.evaluate.behave.lexical import annotate, cues, occurrences
from exprl.evaluate.behave.taxonomy import ARCHETYPE_NAMES, ARCHETYPES, BEHAVIOUR_NAMES, BEHAVIOURS, NONE

SHOWN = {
    "verification": [
        "So x = 4. Let me verify: 2*4 + 1 = 9.",
        "x = 3.\nCheck: 3 + 4 = 7",
        "Plugging x = 2 back in, both sides are 7: it holds.",
        "Let’s double-check the sum.",
    ],
    "self_correction": [
        "3 * 7 = 24. No, it is 21.",
        "That should be 12, not 14.",
        "Correction: the base is 5.",
    ],
    "error_acknowledgment": ["I made a sign error.", "Hmm, that's wrong.", "I forgot a mistake? My mistake.", "Oops."],
    "backtracking": ["Let us go back to step 2 and factor instead.", "This is a dead end.", "I backtrack."],
    "redo": ["Let me start over.", "Starting from scratch with new letters.", "Let's redo this."],
    "exploration": [
        "Alternatively, use vectors.",
        "Another approach is to count the complement.",
        "What if we square it?",
    ],
    "hedging": ["I think the answer is 4.", "Perhaps n is even.", "I'm not sure about this step."],
    "self_interruption": [
        "The sum is 9. Wait, there are two of them.",
        "Hmm, 7.",
        "So 12 - hold on, that counts it twice.",
    ],
    "structured_steps": [
        "1) 3+4=7\n2) 7*2=14",
        "First, add.\nThen, double.",
        "## Setup\nx\n## Result\ny",
        "1) a### 2) b###",
    ],
}
SKIPPED = {
    "verification": [
        "There is no need to check this.",
        "Substitute x = 2 back into the first equation: y = 3.",
        'He said "let me verify".',
    ],
    "self_correction": ["The result should be equal to the sum.", "The correct answer is 7.", "(x+1)^2 = x^2 + 2x + 1"],
    "error_acknowledgment": [
        "The error bound is 0.1.",
        "There was a mistake in the problem statement.",
        "Tom's mistake cost him 3 dollars.",
        '"That is wrong," said Ann.',
    ],
    "backtracking": ["Substituting back to the first equation gives 3.", "They went home."],
    "redo": ["The process starts over every 5 minutes.", "Whenever the machine restarts, it beeps."],
    "exploration": ["There is no other way.", "Let's consider triangle ABC.", "Let's try small values."],
    "hedging": ['The sign reads "maybe tomorrow".', "Where the two might be equal, x = 1."],
    "self_interruption": [
        "They wait 5 minutes at the station.",
        "By the AM-HM inequality.",
        'She says "wait, come back".',
        "> wait, what\nThe sum is 3.",
    ],
    "structured_steps": ["1) is the only item.", "(a) 3\n(b) 4\n(c) 5", "3 + 4 = 7"],
}
APPROACHES = {
    "direct_computation": "3 + 4 = 7",
    "algebraic_manipulation": "Let x be the price. We solve for x: 2x + 1 = 9, factor, and simplify.",
    "case_analysis": "Case 1: n is even. Case 2: n is odd. In both cases it holds.",
    "induction_recursion": "By induction. Base case: n = 1. The inductive step follows.",
    "contradiction": "Suppose not. That contradicts the premise, a contradiction.",
    "construction": "We construct a set; an example is {1, 2}.",
    "bounding": "By AM-GM the sum is at least 2, and at most 3.",
    "symmetry_invariant": "By symmetry, and since the parity is an invariant modulo 2.",
    "counting": "The number of ways is a product of combinations and permutations.",
    "geometric": "The triangle has a right angle, the circle a radius of 5.",
    "guess_and_check": "Trial and error: list all pairs and test each.",
    "working_backwards": "Work backwards from the end, reversing the steps.",
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SHOWN.items() for text in texts])
def test_a_behaviour_is_found_where_it_is_shown(name: str, text: str) -> None:
    assert name in annotate(text).behaviours


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SKIPPED.items() for text in texts])
def test_a_behaviour_is_skipped_where_its_skip_rule_applies(name: str, text: str) -> None:
    assert name not in annotate(text).behaviours


@pytest.mark.parametrize(("name", "text"), APPROACHES.items())
def test_an_archetype_is_told_by_its_cues(name: str, text: str) -> None:
    assert annotate(text).archetype == name


def test_the_tests_leave_no_name_of_the_taxonomy_out() -> None:
    assert set(SHOWN) == set(SKIPPED) == set(BEHAVIOUR_NAMES) == set(occurrences(""))
    assert set(APPROACHES) == set(ARCHETYPE_NAMES) == set(cues(""))


def test_there_are_nine_behaviours_and_twelve_archetypes_each_with_a_definition_and_a_skip_rule() -> None:
    assert (len(set(BEHAVIOUR_NAMES)), len(set(ARCHETYPE_NAMES))) == (9, 12)
    assert all(entry.definition and entry.skip_if for entry in (*BEHAVIOURS, *ARCHETYPES))
    assert NONE not in ARCHETYPE_NAMES


def test_an_empty_trace_shows_nothing_and_has_no_approach() -> None:
    assert annotate("") == annotate("\n\n")
    assert (annotate("").behaviours, annotate("").archetype, annotate("").why) == (frozenset(), NONE, None)


def test_what_it_cannot_know_stays_as_documented() -> None:
    # A check that is announced and not done counts; a quotation without marks does, too.
    assert "verification" in annotate("Let me verify. The answer is 7.").behaviours
    assert "self_interruption" in annotate("Ann shouted. Wait, she cried.").behaviours


WORDS = st.sampled_from(
    ["wait, ", "let me ", "check", '"', "> ", "\n", "1) ", "i made a ", "back", "substitut", "maybe", " "]
)


@given(st.one_of(st.text(max_size=400), st.lists(WORDS, max_size=60).map("".join)))
def test_no_text_raises_and_counts_stay_within_its_length(text: str) -> None:
    annotation = annotate(text)
    assert annotation.why is None
    assert annotation.behaviours <= set(BEHAVIOUR_NAMES)
    assert annotation.archetype in (*ARCHETYPE_NAMES, NONE)
    for counts in (occurrences(text), cues(text)):
        assert all(0 <= count <= len(text) for count in counts.values())


@pytest.mark.parametrize("unit", ["wait, ", '"', "substitute ", "1) ", "how many ", "(", " ", "1+1", "let me ", "\n>"])
def test_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        began = time.process_time()
        annotate(text)
        return time.process_time() - began

    short = min(seconds(5_000) for _ in range(3))
    assert min(seconds(40_000) for _ in range(2)) < 8 * 4 * max(short, 0.002)


def test_a_long_ordinary_trace_takes_no_time_to_speak_of() -> None:
    text = (string.ascii_lowercase + " 3+4=7. ") * 2000
    began = time.process_time()
    annotate(text)
    assert time.process_time() - began < 2
