"""One verifier for mixed problems: each goes to the strongest one that its data allow (`exprl.verify.route`).

Verifiers are built with the first problem that needs them, so a run of mathematics opens no sandbox and a run without prose
asks no judge. `Verdict.judge` names the verifier that spoke. A problem that only a judge could grade is unscored
unless the configuration lets the judge do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from exprl.config import Way
from exprl.types import Domain, Problem, Verdict
from exprl.verify.protocol import Verifier
from exprl.verify.route import route

__all__ = ["RoutedVerifier"]

_NO_WAY = "only a judge can grade this; verifier.judge = true lets it"


class RoutedVerifier:
    """Sends every pair where it belongs. Safe to call from several threads.

    Args:
        build: makes a verifier for each way that is open; a way that is not among them leaves its problems unscored.
        domains: see `exprl.verify.route.route`.
    """

    name = "routed"

    def __init__(
        self, build: Mapping[Way, Callable[[], Verifier]], domains: Mapping[Domain, Way] | None = None
    ) -> None:
        self._build = dict(build)
        self._domains = dict(domains or {})
        self._built: dict[Way, Verifier] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._lock = Lock()

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        """Grade traces; see `exprl.verify.Verifier.verify`.

        Raises:
            VerifierError: a verifier that is needed cannot work here (no sandbox, a missing extra).
        """
        verdicts = [Verdict(None, unscored=_NO_WAY, judge=self.name)] * len(pairs)
        places: dict[Way, list[int]] = {}
        for place, (problem, _) in enumerate(pairs):
            places.setdefault(self._way(problem), []).append(place)
        for way, mine in places.items():
            if (verifier := self._verifier(way)) is not None:
                for place, verdict in zip(mine, verifier.verify([pairs[place] for place in mine]), strict=True):
                    verdicts[place] = verdict
        return verdicts

    def close(self) -> None:
        """Stop every verifier that was built."""
        with self._lock:
            for verifier in self._built.values():
                verifier.close()

    def _way(self, problem: Problem) -> Way:
        key = (problem.id, problem.reference.digest)
        if key not in self._ways:
            self._ways[key] = route(problem, self._domains).way
        return self._ways[key]

    def _verifier(self, way: Way) -> Verifier | None:
        with self._lock:
            if way not in self._built:
                if way not in self._build:
                    return None
                self._built[way] = self._build[way]()
            return self._built[way]
