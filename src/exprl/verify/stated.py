r"""Read the answer that a trace states in words, where it has no box.

A box is how an answer is asked for; a policy that has not learnt that yet says `The final answer is 7.` instead. Such a
statement counts only where it cannot be read in two ways. The last of these is the answer:

    <answer>7</answer>      #### 7      The (final, correct) answer is 7.      **Answer:** 7

else the last line, where it is nothing but one formula (`$...$`, `\[...\]`) or one plain number. Refused, which makes
the trace one without an answer: a statement under a condition (`if the answer is 7`), a denied one (`the answer is not
7`), one that is taken back later (`wait`, `actually`, `mistake`), one of more than 1,000 characters, one whose braces do
not close, and anything within thinking that has not ended.

    >>> stated_answer("So 3 + 4 = 7.\nThe final answer is $7$."), stated_answer("I wonder whether the answer is 7.")
    ('$7$', None)

Linear in the length of the text: every repetition in a pattern here is bounded, cues are looked for in the last 200,000
characters, and at most 2,000 are read behind the last one.
"""

from __future__ import annotations

import re

__all__ = ["after_thinking", "balanced", "stated_answer"]

_LONGEST = 1000
_WINDOW = 2000
_TAIL = 200_000
_CUE = re.compile(
    r"<answer>|####(?!#)|\banswers?\b(?: to [^\n.:]{1,60}?)?\s{0,3}[*_]{0,3}\s{0,3}"
    r"(?:\b(?:is equal to|is|are|equals|would be|must be|will be)\b|:|=)[ \t]{0,4}:?[ \t]{0,4}"
    r"(?:(?:thus|therefore|then|hence|simply|just|exactly|indeed)\b)?",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:\w{2,6}n['’]t|doubt|if|whether|suppose|assum\w{1,5}|unless|might|could|may|not|guess\w{0,3}|wrong|incorrect|previous"
    r"|intermediate|partial|check|verify|maybe|perhaps)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\s{0,4}(?:not|n't|no longer|never|unclear|unknown|unlikely|either|neither|probably not)\b", re.IGNORECASE
)
_RETRACTION = re.compile(
    r"\b(?:wait|hmm+|actually|mistake|mistaken|incorrect|wrong|instead|correction|recheck|re-check|sorry|oops)\b"
    r"|\blet me\b|\bno,",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.?](?=\s|$)|\n")  # "!" may be a factorial
_MATH = re.compile(
    r"\$\$[^$]{1,1000}\$\$|\$[^$\n]{1,1000}\$|\\\[(?:(?!\\\]).){1,1000}\\\]|\\\((?:(?!\\\)).){1,1000}\\\)", re.DOTALL
)
_DISPLAY = re.compile(r"\s{0,8}(?:\$\$|\\\[)")
_LONE = re.compile(r"[-+−]?\s?(?:\\?\$)?\d{1,3}(?:[\d,]{0,40})(?:\.\d{1,40})?(?:/\d{1,40})?\s?(?:\\?%)?")
_EMPHASIS = "*_ \t\r\n"


def stated_answer(text: str, cues: re.Pattern[str] = _CUE, *, denied: bool = False) -> str | None:
    """The answer that a trace without a box states, or None where it states none beyond doubt.

    Args:
        text: a trace, untrusted.
        cues: what an answer follows; linear, and beginning with `<` or `#` where no sentence surrounds it.
        denied: return what begins with a denial too (`not A but B`).
    """
    text = after_thinking(text)[-_TAIL:]
    last = None
    for cue in cues.finditer(text):
        last = cue
    if last is None:
        return _usable(_lone_line(text))
    if last[0][0] not in "<#" and _CONDITION.search(_clause_before(text, last.start())):
        return None
    return _usable(_statement(text, last, denied))


def after_thinking(text: str) -> str:
    """What follows the last `</think>`; nothing where thinking was opened again and has not ended."""
    opened, closed = text.rfind("<think>"), text.rfind("</think>")
    if opened > closed:
        return ""
    return text[closed + len("</think>") :] if closed >= 0 else text


def balanced(text: str) -> bool:
    """Whether the braces of a text close in order, escaped ones aside."""
    depth = 0
    for brace in re.findall(r"\\[\\{}]|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


def _usable(answer: str | None) -> str | None:
    return answer if answer and len(answer) <= _LONGEST and balanced(answer) else None


def _statement(text: str, cue: re.Match[str], denied: bool) -> str | None:
    window = text[cue.end() : cue.end() + _WINDOW]
    if cue[0].startswith("<"):
        found, closed, after = window.partition("</")
        return found.strip() if closed and not _RETRACTION.search(after) else None
    skipped = len(window) - len(window.lstrip(_EMPHASIS + ":"))
    window = window[skipped:]
    if not denied and _DENIAL.match(window):
        return None
    end = _end(window)
    said = window[:end].strip(_EMPHASIS).rstrip(".").strip(_EMPHASIS)
    asked = window[end : end + 1] == "?"
    return None if asked or _RETRACTION.search(text, cue.end() + skipped + end) else said


def _end(window: str) -> int:
    """Where the statement ends: a full stop or line end outside formulas."""
    place = 0
    if _DISPLAY.match(window) and (formula := _MATH.search(window)):
        return formula.end()
    while (stop := _SENTENCE_END.search(window, place)) is not None:
        formula = _MATH.search(window, place)
        if formula is None or formula.start() > stop.start():
            return stop.start()
        place = formula.end()
    return len(window)


def _clause_before(text: str, end: int) -> str:
    """Up to 80 characters of the sentence in which the cue stands."""
    before = text[max(end - 80, 0) : end]
    return re.split(r"[.!?\n]\s|\n", before)[-1]


def _lone_line(text: str) -> str | None:
    """The last line, where it is one formula or one number and nothing else."""
    tail = text[-_WINDOW:].rstrip(_EMPHASIS + ".")
    line = tail[tail.rfind("\n") + 1 :].strip(_EMPHASIS)
    return line if _MATH.fullmatch(line) or _LONE.fullmatch(line) else None
