"""What is looked for in a trace: nine behaviours and twelve solution archetypes, as data.

The nine behaviours are named by the paper (ExpRL, behaviour analysis); so is the number of archetypes. Definitions, "skip
if" rules and the list of archetypes are in our own words: shares are comparable between policies annotated with the same
`DIGEST`, and with the paper's numbers only in kind.

A behaviour is shown or not by a trace as a whole; a trace has one archetype, its main approach, or none that can be told.

    >>> [behaviour.name for behaviour in BEHAVIOURS][:3], len(ARCHETYPES)
    (['verification', 'self_correction', 'error_acknowledgment'], 12)
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["ARCHETYPES", "ARCHETYPE_NAMES", "BEHAVIOURS", "BEHAVIOUR_NAMES", "DIGEST", "NONE", "Entry"]


class Entry(NamedTuple):
    """One thing to look for: when it is there, and when it is not although it looks like it."""

    name: str
    definition: str
    skip_if: str


BEHAVIOURS = (
    Entry(
        "verification",
        "checks a result it already has: substitutes it back, recomputes it another way, tests it against the conditions",
        "the check is only announced and never carried out, or a value is computed for the first time",
    ),
    Entry(
        "self_correction",
        "replaces a statement or value of its own by another and goes on with the new one",
        "the mistake belongs to somebody in the problem, or an expression is only rewritten in an equal form",
    ),
    Entry(
        "error_acknowledgment",
        "says outright that something it wrote itself is wrong",
        "a contradiction is derived on purpose, the word error is a quantity (error bound), or the mistake is another's",
    ),
    Entry(
        "backtracking",
        "gives up the current line and returns to an earlier point to go on from there",
        "it only refers back to an earlier result, or 'back' means substituting back",
    ),
    Entry(
        "redo",
        "starts the whole solution again from the beginning",
        "only one step is done again (self_correction), or a loop or process inside the problem restarts",
    ),
    Entry(
        "exploration",
        "considers or tries another approach or idea than the one it was following",
        "alternatives are cases that the problem itself makes necessary, or only one approach is ever named",
    ),
    Entry(
        "hedging",
        "expresses doubt about its own statement: perhaps, I think, not sure",
        "the words are part of the mathematics (probability, 'might' in the problem's text, 'maybe' in a quotation)",
    ),
    Entry(
        "self_interruption",
        "breaks off in the middle of a thought with an exclamation such as wait, hold on, hmm, actually",
        "the word is an ordinary one (they wait 5 minutes), or stands in a quotation",
    ),
    Entry(
        "structured_steps",
        "divides the solution into at least two marked steps: numbers, headings, first ... then",
        "the numbers only list the problem's data, answer options or items of a set",
    ),
)

ARCHETYPES = (
    Entry(
        "direct_computation",
        "carries out the operations in the order in which they are given",
        "unknowns are solved for",
    ),
    Entry("algebraic_manipulation", "sets up equations and transforms them", "only numbers are computed"),
    Entry("case_analysis", "splits into cases and settles each", "single values are tried out"),
    Entry(
        "induction_recursion", "goes from one size to the next: induction, recurrence", "a sum is merely written out"
    ),
    Entry("contradiction", "assumes the opposite and refutes it", "an own mistake is found"),
    Entry("construction", "builds an object or example that has what is wanted", "the example only illustrates"),
    Entry("bounding", "squeezes a quantity by inequalities or estimates", "an inequality is only given in the problem"),
    Entry(
        "symmetry_invariant", "uses a symmetry, parity, modulus or quantity that stays the same", "it is only mentioned"
    ),
    Entry(
        "counting",
        "counts: combinatorics, bijection, inclusion and exclusion, probability",
        "things are listed one by one",
    ),
    Entry("geometric", "argues with figures, angles, coordinates or vectors", "a formula is only used as arithmetic"),
    Entry(
        "guess_and_check",
        "tries candidates, or lists all of them, and tests each",
        "a finished result is verified once",
    ),
    Entry("working_backwards", "starts from the goal and goes back to what is given", "an equation is solved forwards"),
)

BEHAVIOUR_NAMES = tuple(entry.name for entry in BEHAVIOURS)
ARCHETYPE_NAMES = tuple(entry.name for entry in ARCHETYPES)
NONE = "none"
"""What an annotator says where no approach can be told: kept apart, no thirteenth archetype."""

DIGEST = hashlib.sha256("\0".join(part for entry in (*BEHAVIOURS, *ARCHETYPES) for part in entry).encode()).hexdigest()[
    :16
]
"""Identifies the taxonomy: annotations under another one are not reused."""
