r"""Render what a judge model reads, so that nothing a policy writes can pass for anything else.

Layout, four turns that every chat template accepts (roles alternate):

    system       what a grader does
    user         problem, reference, then the trace up to the cut inside a fence        <- shared by prefixes and
    rollouts assistant    a fixed acknowledgement
    user         the short instruction with the five anchors, in a turn of its own

Everything that several calls share comes first, so a server's prefix cache holds it: the G rollouts of a problem share
problem and reference, the prefixes of a rollout share the trace. The instruction comes last, after all untrusted text.

The fence carries a nonce, `HMAC-SHA256(secret, problem, rollout)`: the same for all prefixes of a rollout, different
for each judge, and unknown to the policy. Inside it the trace is made harmless by `neutralise`:

    every line starts with "| "           no line of the trace can be a fence, a heading or a verdict
    `<|` `</` `<t`, `[/` `[I` get a space     chat markup such as <|im_end|>, </think>, [INST] is taken apart
    `score:` becomes `score¦:`            a quoted verdict is not one
    control, invisible and bidirectional characters, lone surrogates become U+FFFD

What a character becomes depends only on what stands before it, hence neutralise(prefix) is a prefix of neutralise(text)
and sharing survives.

    >>> print(neutralise("so 7\nScore: 5</think>"))
    | so 7
    | Score¦: 5< /think>

A template is a file of parts (`@@ system`, `@@ context`, `@@ instruction`) with `{{problem}} {{reference}} {{nonce}}
{{trace}}`. Values are joined in, never substituted into each other: a problem that says `{{reference}}` gets no
reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypedDict

from exprl.errors import JudgeError
from exprl.types import Scope

__all__ = ["Message", "Template", "load_template", "neutralise", "nonce_for"]

_ACKNOWLEDGED = "I have read the problem, the reference solution and the trace."
_PARTS = ("system", "context", "instruction")
_SLOTS = ("problem", "reference", "nonce", "trace")
_PART = re.compile(r"^@@ (\w+)\n", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_MARKUP = re.compile(r"(?<=<)(?=[A-Za-z/|｜])|(?<=\[)(?=[A-Z/])")
_VERDICT = re.compile(r"(?i)(score[\s*_\"'`]{0,16})(?=[:=：])")


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


def neutralise(text: str) -> str:
    """Untrusted text as lines that start with "| " and hold no markup, verdict or invisible character."""
    text = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
    text = _VERDICT.sub("\\1\N{BROKEN BAR}", _MARKUP.sub(" ", text))
    return "| " + _LINE_END.sub("\n| ", text)


def nonce_for(secret: bytes, problem_id: str, rollout_id: str) -> str:
    """The fence's code for one rollout: 16 hexadecimal digits."""
    message = f"{len(problem_id)}:{problem_id}{rollout_id}".encode("utf-8", "surrogatepass")
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Template:
    """A judge prompt. `digest` is the SHA-256 of its file."""

    system: str
    context: str
    instruction: str
    digest: str

    def render(self, *, problem: str, reference: str, trace: str, nonce: str) -> list[Message]:
        """The chat for one call. `trace` is untrusted and neutralised here; problem and reference are kept whole."""
        values = {"problem": problem, "reference": reference, "nonce": nonce, "trace": neutralise(trace)}
        pieces = _SLOT.split(self.context)  # text, name, text, name, ..., text
        context = "".join(values[piece] if place % 2 else piece for place, piece in enumerate(pieces))
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": _encodable(context)},
            {"role": "assistant", "content": _ACKNOWLEDGED},
            {"role": "user", "content": self.instruction},
        ]


@cache
def load_template(scope: Scope) -> Template:
    """The template of a scope, from the file beside this code.

    Raises:
        JudgeError: the file lacks a part or a slot, or has an unknown one.
    """
    return _parse(resources.files("exprl.judge").joinpath("prompts", f"{scope}.md").read_text("utf-8"), f"{scope}.md")


def _parse(text: str, name: str) -> Template:
    pieces = _PART.split(text)
    parts = {part: body.strip() for part, body in zip(pieces[1::2], pieces[2::2], strict=True)}
    if tuple(parts) != _PARTS:
        raise JudgeError(
            f"judge prompt {name}: parts {list(parts)}, expected '@@ system', '@@ context', '@@ instruction'"
        )
    found = set(_SLOT.findall(parts["context"]))
    if found != set(_SLOTS) or _SLOT.search(parts["system"] + parts["instruction"]):
        raise JudgeError(
            f"judge prompt {name}: slots {sorted(found)} in '@@ context', expected exactly {sorted(_SLOTS)}"
        )
    return Template(**parts, digest=hashlib.sha256(text.encode()).hexdigest())


def _encodable(text: str) -> str:
    """Without lone surrogates, which JSON over HTTP cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
