r"""The annotator that needs no model: phrases, in English, over lower-cased text.

A behaviour is shown where enough of its phrases remain after its "skip if" phrases, and all that stands in quotation marks
or in lines that start with ">", are blanked out. The archetype is the one with the most different cues (at a tie the
one listed first in `_ARCHETYPES`, rarer ones first); a trace without any cue has none. Every pattern is an alternation of
literals with gaps of bounded length, so time is linear in the text.

What it cannot do, and what its numbers therefore mean:

- It sees words, not deeds. A check done silently is missed; a check announced and not done counts.
- It knows few phrases, and no other language. A policy that learns a phrase seems to have learned a behaviour.
- Irony, quotations without marks, and words of the problem that the trace repeats are taken at their word.
- Traces of the embedded world have no words at all: only structured steps and direct computation can be seen.

So it is good for a quick comparison of policies that write alike. Where it matters, run an LLM annotator beside it: the
agreement of the two is reported.

    >>> sorted(annotate("1) 3+4=7\n2) Wait, let me check: 7-4=3.").behaviours)
    ['self_interruption', 'structured_steps', 'verification']
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from exprl.evaluate.behave.annotation import Annotation
from exprl.evaluate.behave.taxonomy import NONE

__all__ = ["IDENTITY", "annotate", "cues", "occurrences"]

IDENTITY = "lexical:1"
"""Raise the number whenever a phrase changes, so that no stored annotation passes for a new one."""

_QUOTED = re.compile(r'"[^"\n]{0,300}"|“[^”\n]{0,300}”|^[ \t]{0,8}>[^\n]*', re.MULTILINE)
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'"})


class _Phrases(NamedTuple):
    shows: str
    skips: str = ""
    least: int = 1


_OWN = r"(?:i|we)(?:'ve| have)? (?:made|did|got|missed|forgot|miscalculated|misread|messed up|miscounted)"
_BEHAVIOURS = {
    "verification": _Phrases(
        r"\b(?:let me|let's|we can|we should|i'll|i will|now) (?:double[- ]?|re-?|quickly |also )?(?:check|verify|confirm)\b"
        r"|\bto (?:double[- ]?check|verify|confirm)\b|\b(?:double[- ]?checking|verifying|verification|sanity check)\b"
        r"|\b(?:plug|plugging|substitut\w{1,4})\b[^.\n]{0,30}\bback\b[^.\n]{0,60}\b(?:check|checks|verif\w{1,4}|satisf\w{1,5}|holds)\b"
        r"|(?:^|[.\n] ?)(?:check|verify) ?:",
        r"\b(?:no need to|without|instead of|don't need to|needn't) (?:double[- ]?)?(?:check|verify|checking|verifying)\b",
    ),
    "self_correction": _Phrases(
        r"\b(?:should (?:actually|instead|really) be|should have been|let me (?:correct|fix)|corrected|i meant)\b|\bcorrection:"
        r"|\bshould be [^.\n]{1,30}(?:,? not | instead\b| rather than )|\bthe correct (?:[a-z]{1,20} should be|value is)\b"
        r"|\bcorrecting (?:this|that|the|my)\b|(?:^|[.,;\n] ?|[—-] )(?:no|oops|sorry),? (?:it|that|this)(?:'s| is)\b"
        r"|\b(?:actually|rather),? (?:it|that|this)(?:'s| is| equals)\b",
        r"\bthe correct (?:answer|option|choice) (?:should be|is)\b",
    ),
    "error_acknowledgment": _Phrases(
        rf"\b{_OWN} (?:a |an |this |that |it |the )?(?:[a-z]{{1,12}} )?(?:mistake|error|slip|wrong|sign|incorrectly)\b"
        r"|\b(?:that|this|which)(?:'s| is| was| can't be| cannot be) (?:wrong|incorrect|not right|not correct|a mistake)\b"
        r"|\b(?:my|an?) (?:mistake|error) (?:above|earlier|here|in my )|\bmy (?:mistake|bad)\b|\boops\b"
        r"|\bi (?:miscalculated|misread|miscounted|messed up)\b",
        r"\b(?:error|margin of error) (?:bound|term|rate|estimate)\b|\b(?:he|she|they|student|\w{1,20}'s) (?:mistake|error)\b",
    ),
    "backtracking": _Phrases(
        r"\b(?:go|going|went|return|returning|step|stepping|back ?track\w{0,4}|rewind) (?:back )?to (?:the )?(?:step|where|"
        r"equation|beginning of (?:this|the) case|earlier|previous|part|point)\b|\bback ?track(?:ing|ed)?\b"
        r"|\b(?:dead end|doesn't lead anywhere|does not lead anywhere|abandon(?:ing)? this|scrap (?:this|that)|undo)\b",
        r"\b(?:substitut\w{1,4}|plug\w{0,4}|refer\w{0,4}|add\w{0,3}) back to\b",
    ),
    "redo": _Phrases(
        r"\b(?:start(?:ing)?|begin(?:ning)?) (?:over|afresh|anew|from scratch|again)\b|\b(?:from scratch|restart(?:ing)?)\b"
        r"|\blet(?:'s| me| us) (?:redo|do this again|try (?:this )?again|solve (?:this|it) again|do it again)\b"
        r"|\bredo(?:ing)? (?:this|the|it|my)\b",
        r"\b(?:process|game|clock|machine|timer|counter|loop|cycle|sequence|round)s? "
        r"(?:restart(?:s|ing)?|(?:start|begin)s? (?:over|again))\b",
    ),
    "exploration": _Phrases(
        r"\b(?:alternatively|another (?:way|approach|method|idea|option)|a different (?:way|approach|method|idea))\b"
        r"|\bwhat if (?:we|i)\b|\b(?:let's|let me|we could|i could) (?:also )?(?:try|consider|explore) "
        r"(?:another|a different|an alternative|something|using|instead)\b"
        r"|\b(?:other|different) (?:approach|method)(?:es|s)?\b",
        r"\bno other (?:way|approach|method)\b|\ba different (?:way|approach|method) (?:from|than)\b",
    ),
    "hedging": _Phrases(
        r"\b(?:i think|i guess|i believe|i suppose|i'm not sure|not entirely sure|not certain|unsure|perhaps|maybe|"
        r"probably|presumably|it seems|seems like|i'm guessing)\b",
        r"\b(?:which|that|what|as) (?:he|she|they) (?:probably|perhaps|maybe)\b|\bprobably prime\b",
    ),
    "self_interruption": _Phrases(
        r"(?:^|[.!?,;:\n)]\s?|[—-]\s|\bbut |\bno,? |\boh,? )"
        r"(?:wait(?=[,.!\n—-]| (?:a (?:minute|second|moment)|no|that|this|i|but))"
        r"|hold on|hang on|hmm+|hm\b|actually,|oh no|oops|no, no)",
        r"\b(?:to|must|will|would|they|and|who|then) wait\b",
    ),
    "structured_steps": _Phrases(
        r"(?:^|\n|###)[ \t]*(?:[*#]{1,4}[ \t]?)?(?:step[ \t]?)?\d{1,2}[.):](?=[ \t*])|(?:^|\n)[ \t]*#{1,6}[ \t]\S"
        r"|(?:^|\n)[ \t]*(?:\*\*)?(?:step \d{1,2}|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|finally|lastly)\b",
        r"(?:^|\n)[ \t]*(?:\([a-e]\)|[a-e][.)])[ \t]",
        2,
    ),
}

_ARCHETYPES = {
    "working_backwards": r"\b(?:work(?:ing)? backwards?|backwards? from|in reverse order"
    r"|revers(?:e|ing) the (?:steps|process))\b",
    "contradiction": r"\b(?:by contradiction|a contradiction|contradicts|suppose (?:not|the contrary)|assume the (?:contrary|"
    r"opposite))\b",
    "induction_recursion": r"\b(?:by induction|inductive (?:step|hypothesis)|base case|recurrence|recursi(?:on|ve|vely))\b",
    "symmetry_invariant": r"\b(?:by symmetry|symmetric(?:al)?|invariant|parity|mod(?:ulo)? \d{1,6}|congruent to)\b",
    "bounding": r"\b(?:at most|at least|upper bound|lower bound|am-gm|cauchy|inequality|maximi[sz]e|minimi[sz]e)\b|[≤≥]"
    r"|\\(?:le|ge)q?\b",
    "counting": r"\b(?:choose|permutations?|combinations?|bijection|inclusion[- ]exclusion|number of ways|probability)\b"
    r"|\\binom\b|\\choose\b",
    "geometric": r"\b(?:triangle|circle|angle|perpendicular|parallel|coordinates?|vectors?|radius|polygon)\b"
    r"|\\(?:angle|triangle)\b",
    "case_analysis": r"\bcase [1-9ivx]\b|\b(?:case by case|in (?:both|either|each|the (?:first|second|other)) case"
    r"|consider the cases|two cases|three cases)\b",
    "guess_and_check": r"\b(?:guess(?:ing)?|trial and error|try(?:ing)? (?:values|n|x|k|\w =|small)|list (?:all|them|out)"
    r"|test(?:ing)? (?:each|values|n|x)|brute force|enumerat\w{1,4})\b",
    "construction": r"\b(?:construct(?:ion|ing|ed)?|for example,? (?:take|let)|an example is|define a function)\b",
    "algebraic_manipulation": r"\b(?:let [a-z]\b|solve for|solving for|substitut\w{1,4}|factor(?:ing|ed|s)?|equations?"
    r"|expand(?:ing)?|simplify(?:ing)?|quadratic)\b|\b\d{0,4}[a-z] ?[-+*/] ?\d{1,9} ?=",
    "direct_computation": r"\d[\d,.]{0,20} ?[-+*/×÷·] ?\d[\d,.]{0,20} ?=|\) ?= ?\d|\b(?:calculat\w{1,4}|comput\w{1,4}|multiply|"
    r"subtract|add(?:ing)?|divide) ",
}


def annotate(text: str) -> Annotation:
    """What the phrases of a trace say."""
    shown = occurrences(text)
    behaviours = frozenset(name for name, count in shown.items() if count >= _BEHAVIOURS[name].least)
    found = cues(text)
    archetype = max(found, key=lambda name: found[name], default=NONE)
    return Annotation(behaviours, archetype if found.get(archetype) else NONE)


def occurrences(text: str) -> dict[str, int]:
    """How often each behaviour's phrases stand in a trace."""
    plain = _plain(text)
    found = {}
    for name, (shows, skips) in _behaviours().items():
        rest = plain if skips is None else skips.sub(_blank, plain)
        found[name] = sum(1 for _ in shows.finditer(rest))
    return found


def cues(text: str) -> dict[str, int]:
    """How many different cues of each archetype stand in a trace.

    Arithmetic is in every trace: it counts as one cue, so that any approach that is named weighs as much.
    """
    plain = _plain(text)
    found = {name: len({hit[0] for hit in pattern.finditer(plain)}) for name, pattern in _archetypes().items()}
    return found | {"direct_computation": min(found["direct_computation"], 1)}


def _plain(text: str) -> str:
    return _QUOTED.sub(_blank, text.translate(_APOSTROPHES).lower())


def _blank(found: re.Match[str]) -> str:
    return "\n" if found[0].startswith("\n") else " "


@cache
def _behaviours() -> dict[str, tuple[re.Pattern[str], re.Pattern[str] | None]]:
    return {
        name: (re.compile(entry.shows), re.compile(entry.skips) if entry.skips else None)
        for name, entry in _BEHAVIOURS.items()
    }


@cache
def _archetypes() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(pattern) for name, pattern in _ARCHETYPES.items()}
