"""Untrusted text, made safe to look at.

Escaping keeps text from becoming markup; it does not keep it from lying to the eye. A right-to-left override turns a
line round, a zero-width space hides in an answer, a lone surrogate cannot be written at all. Such characters are
shown by their code point. Line breaks and tabs stay.

    >>> visible("12\\u202e34")
    '12⟨U+202E⟩34'
"""

from __future__ import annotations

import html
import re

__all__ = ["escaped", "visible"]

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text with every unseen, direction-changing or unwritable character replaced by its code point."""
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text.replace("\r\n", "\n"))


def escaped(text: str) -> str:
    """Visible text, escaped for HTML content and for attributes in double quotes."""
    return html.escape(visible(text), quote=True)
