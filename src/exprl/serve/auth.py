"""Who asks: an actor, who may name references and gets numbers, or an evaluator, who may register them and see reasons.

Tokens come from the environment and from nowhere else, and are kept as hashes:

    EXPRL_SERVE_EVALUATOR_TOKEN     registers references, reads metrics, may ask for reasons
    EXPRL_SERVE_ACTOR_TOKEN         asks for scores; leave it out and only the evaluator is served

A token is compared in constant time, with both, whichever fits. What this module refuses: a server without any token, one
token for both roles, a token short enough to be guessed.

    >>> keyring = Keyring(evaluator="e" * 32, actor="a" * 32)
    >>> keyring.role("Bearer " + "a" * 32), keyring.role("Bearer wrong"), keyring
    ('actor', None, Keyring(<redacted>))
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal, Self

from exprl.errors import ConfigError

__all__ = ["ACTOR_TOKEN", "EVALUATOR_TOKEN", "Keyring", "Role"]

Role = Literal["actor", "evaluator"]

ACTOR_TOKEN = "EXPRL_SERVE_ACTOR_TOKEN"
EVALUATOR_TOKEN = "EXPRL_SERVE_EVALUATOR_TOKEN"
_SHORTEST = 16
_MAKE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class Keyring:
    """The tokens of a server, as hashes.

    Raises:
        ConfigError: a token is missing, too short, not printable ASCII, or the same for both roles.
    """

    __slots__ = ("_hashes",)

    def __init__(self, *, evaluator: str | None = None, actor: str | None = None) -> None:
        given: dict[Role, tuple[str, str | None]] = {
            "evaluator": (EVALUATOR_TOKEN, evaluator),
            "actor": (ACTOR_TOKEN, actor),
        }
        self._hashes = {role: _hash(_checked(name, token)) for role, (name, token) in given.items() if token}
        if not self._hashes:
            raise ConfigError(
                f"no token: set {EVALUATOR_TOKEN}, and {ACTOR_TOKEN} for actors, in the environment; {_MAKE}"
            )
        if len(set(self._hashes.values())) < len(self._hashes):
            raise ConfigError(
                f"{EVALUATOR_TOKEN} and {ACTOR_TOKEN} are the same: an actor could register and read; {_MAKE}"
            )

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The tokens that an environment holds."""
        return cls(
            evaluator=environment.get(EVALUATOR_TOKEN, "").strip(), actor=environment.get(ACTOR_TOKEN, "").strip()
        )

    @property
    def roles(self) -> frozenset[Role]:
        """Who has a token."""
        return frozenset(self._hashes)

    def role(self, authorization: str | None) -> Role | None:
        """Whose token an Authorization header holds; None for nobody's."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        asked, found = _hash(token.strip()), None
        for role, own in self._hashes.items():
            if hmac.compare_digest(asked, own):
                found = role
        return found

    def __repr__(self) -> str:
        return "Keyring(<redacted>)"


def _hash(token: str) -> bytes:
    # Hashes have one length, so that a comparison does not tell a token's.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _checked(name: str, token: str) -> str:
    if len(token) < _SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{name} must be at least {_SHORTEST} printable ASCII characters without spaces; {_MAKE}")
    return token
