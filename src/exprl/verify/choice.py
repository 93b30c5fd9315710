r"""Grade multiple-choice answers: a letter, a letter with its text, or the text of exactly one option.

The last box counts; without any, the last statement does (`The answer is B`, `<answer>B</answer>`, `I choose (B)`, `B is
correct`, a last line `B. two`). Options that were restated before do not matter. In a statement

    B    (b)    Option B    B. two    two    B, not A    not A but B    ->  B
    A and C    A, C    AC (where several are stored)                    ->  A and C
    A or B    all options and no choice    B. one                       ->  ambiguous, unscored

    score 1.0   exactly the stored options
    score 0.0   others; more or fewer of them; a trace that states nothing and names no options
    unscored    no stored answer, or one that names no option; ambiguous; a statement that names no option

    >>> from exprl.types import Reference
    >>> problem = Problem("p", "Which?\nA. one\nB. two", Reference(None, "B"), "science")
    >>> [ChoiceVerifier().verify([(problem, text)])[0].score for text in ("Not A. So it is\n\\boxed{two}", "A or B", "")]
    [1.0, None, 0.0]

Text is matched and never evaluated; no process is started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from exprl.types import Problem, Verdict
from exprl.verify.answer import matches
from exprl.verify.boxes import boxed
from exprl.verify.options import LETTERS, options_of
from exprl.verify.stated import after_thinking, stated_answer
from exprl.verify.stored import NO_ANSWER, stored_answer

__all__ = ["ChoiceVerifier", "chosen"]

_SHOWN = 200
_LONGEST = 2000
_TAIL = 200_000
_GOLD = "the stored answer names no option"
_AMBIGUOUS = "ambiguous: the answer names several options without choosing"
_NONE = "the answer names no option"

_L = r"(?:\(\s?[A-Ja-j]\s?\)|[A-Ja-j](?![A-Za-z]))"
_CUES = re.compile(
    r"<answer>|####(?!#)|\banswers?\b(?: to [^\n.:]{1,60}?)?\s{0,3}[*_]{0,3}\s{0,3}(?:\b(?:is|are|would be|must be)\b|:|=)"
    r"|\b(?:choose|select|pick|go with|(?:correct|right|best) (?:options?|choices?|ones?) (?:is|are))\b"
    r"[ \t]{0,4}:?(?:[ \t]{1,4}(?:options?|choices?|answers?))?",
    re.IGNORECASE,
)
_IS_CORRECT = re.compile(
    r"(?<!or )(?<!and )(?<!, )(?:\b[Oo]ption |\b[Cc]hoice |(?<![\w(]))(\([A-Ja-j]\)|\b[A-J]\b)[*_]{0,2} is (?:the |indeed )?"
    r"(?:correct|right|best|answer)(?: answer| option| choice| one)?"
)
_DRESS = re.compile(r"\\(?:textbf|textrm|text|mathrm|mathbf|mbox|left|right|boxed)(?![a-zA-Z])|[{}$*_]|\\[()\[\]! ,;]")
_ONLY = re.compile(
    rf"(?:the |both )?(?:options?|choices?|answers?)?\s?:?\s?({_L}(?:\s?(?:,\s?and|,|;|&|and|/)\s?{_L})*)", re.I
)
_LETTER = re.compile(r"[A-Ja-j](?![A-Za-z])")
_COMPACT = re.compile(r"[A-J]{2,10}")
_DENIED = re.compile(
    rf"\b(?:not|rather than|instead of|n['’]t|never|neither)\s(?:an? |the )?(?:options? |choices? )?({_L})"
    rf"(?:\s?(?:,|nor|or|and)\s?(?:options? )?{_L}(?=\s?[,.;]|\sbut|$))*",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![\w\\])(?:\(([A-Ja-j])\)|([A-J])(?!\w)(?!\s[a-z]{3,}(?<!because)(?<!since)(?<!but)(?<!and)(?<!not)))"
)
_LEAD = re.compile(r"(?:options? |choices? )?\(?([A-Ja-j])(?:\)|\s?[.:)\-–])\s?(.+)", re.IGNORECASE | re.DOTALL)
_REASON = re.compile(r"\b(?:because|since|as|which|while|whereas)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b|\beither\b", re.IGNORECASE)


class ChoiceVerifier:
    """Multiple choice. Pure: it may be called from any thread.

    Args:
        stated: whether a choice stated in words counts where a trace has no box.
    """

    name = "choice"

    def __init__(self, *, stated: bool = True) -> None:
        self._stated = stated

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`. `Verdict.raw` is the stated answer, cut to 200 characters."""
        return [self._verdict(problem, text) for problem, text in pairs]

    def close(self) -> None:
        """Nothing to stop."""

    def _verdict(self, problem: Problem, text: str) -> Verdict:
        if (gold := stored_answer(problem)) is None:
            return Verdict(None, unscored=NO_ANSWER, judge=self.name)
        options = options_of(problem)
        stored = chosen(gold, options, several=True)
        if isinstance(stored, str):
            return Verdict(None, unscored=_GOLD, judge=self.name)
        said = self._said(text, options)
        if said is None:
            return self._unstated(text, options)
        told = _NONE if len(said) > _LONGEST else chosen(said, options, several=len(stored) > 1)
        if isinstance(told, str):
            return Verdict(None, unscored=told, judge=self.name, raw=said[:_SHOWN])
        return Verdict(1.0 if told == stored else 0.0, judge=self.name, raw=said[:_SHOWN])

    def _said(self, text: str, options: Mapping[str, str]) -> str | None:
        boxes = boxed(text)
        if boxes or not self._stated:
            return boxes[-1] if boxes else None
        text = after_thinking(text)[-_TAIL:]
        said = stated_answer(_IS_CORRECT.sub(r"the answer is \1", text), _CUES, denied=True)
        if said is not None:
            return said
        line = text.rstrip()[-_LONGEST:].rpartition("\n")[2]
        alone = not _CUES.search(text) and not isinstance(_alone(_plain(line), options), str)
        return line if alone and not _restated(text, options) else None

    def _unstated(self, text: str, options: Mapping[str, str]) -> Verdict:
        """Nothing is stated: wrong, unless options are named and left open."""
        tail = after_thinking(text)[-_LONGEST:]
        if len({match[1] or match[2] for match in _TOKEN.finditer(tail)}) > 1 or _restated(text, options):
            return Verdict(None, unscored=_AMBIGUOUS, judge=self.name)
        return Verdict(0.0, judge=self.name)


def chosen(said: str, options: Mapping[str, str], *, several: bool) -> frozenset[str] | str:
    """The letters that a statement chooses, or why it chooses none."""
    plain = _plain(said)
    if several and _COMPACT.fullmatch(plain):
        return frozenset(plain)
    alone = _alone(plain, options)
    if not isinstance(alone, str) or alone == _AMBIGUOUS:
        return alone
    plain = _REASON.split(plain, maxsplit=1)[0]
    kept, denied = _DENIED.sub(" ", plain), _DENIED.search(plain) is not None
    letters = {(match[1] or match[2]).upper() for match in _TOKEN.finditer(kept)}
    letters = {letter for letter in letters if _known(letter, options)}
    if len(letters) == 1:
        return frozenset(letters)
    if not letters:
        return _texts_named(kept, options) if denied else _NONE
    return frozenset(letters) if several and not _OR.search(kept) else _AMBIGUOUS


def _alone(plain: str, options: Mapping[str, str]) -> frozenset[str] | str:
    """The choice, where a text is nothing but letters, one option's text, or a letter with its text."""
    if (only := _ONLY.fullmatch(plain)) is not None:
        letters = frozenset(letter.upper() for letter in _LETTER.findall(_without_words(only[1])))
        return letters if all(_known(letter, options) for letter in letters) else _NONE
    if named := _equal_options(plain, options):
        return named if len(named) == 1 else _AMBIGUOUS
    lead = _LEAD.fullmatch(plain)
    if lead is None or not _known(lead[1].upper(), options):
        return _NONE
    named = _equal_options(lead[2], options)
    if not named or lead[1].upper() in named:
        return frozenset({lead[1].upper()}) if named else _NONE
    return _AMBIGUOUS  # the letter of one option with the text of another


def _equal_options(text: str, options: Mapping[str, str]) -> frozenset[str]:
    wanted = _folded(text)
    if not wanted:
        return frozenset()
    equal = frozenset(letter for letter, option in options.items() if _folded(option) == wanted)
    return equal or frozenset(letter for letter, option in options.items() if matches(option, text) is True)


def _texts_named(kept: str, options: Mapping[str, str]) -> frozenset[str] | str:
    """`not one but two`: the option whose text is left when the denial has gone."""
    named = _equal_options(re.sub(r"^\W*(?:but|it is|is)\b", "", kept).strip(), options)
    return named if len(named) == 1 else _NONE


def _restated(text: str, options: Mapping[str, str]) -> bool:
    """Whether the last lines of a trace are a list of all options."""
    lines = [_LEAD.match(_plain(line)) for line in text.rstrip()[-_LONGEST:].splitlines()[-len(options) or None :]]
    return len(options) > 1 and [match[1].upper() for match in lines if match] == list(options)


def _known(letter: str, options: Mapping[str, str]) -> bool:
    return letter in options if options else letter in LETTERS


def _without_words(letters: str) -> str:
    return re.sub(r"\band\b", ",", letters, flags=re.IGNORECASE)


def _plain(text: str) -> str:
    return " ".join(_DRESS.sub(" ", text).split()).strip(" .,:;")


def _folded(text: str) -> str:
    return re.sub(r"\s+", "", _DRESS.sub("", text)).casefold().strip(".,:;")
