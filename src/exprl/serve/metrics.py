"""What the server has done, in the text format that Prometheus reads: counts, sums and gauges, never a text.

Labels come from fixed lists (routes, status codes, reasons of refusal), so that no request can put a word of its own here or
make the page grow. What a judge model costs is in its ledger; here stand calls and tokens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from exprl.types import Usage, Verdict

__all__ = ["Metrics"]

_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refused: Counter[str] = Counter()
        self._verdicts: Counter[tuple[str, str]] = Counter()
        self._remembered = 0
        self._times: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._usage = Usage()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request is done."""
        self._requests[route, status] += 1
        if route not in self._times:
            self._times[route], self._seconds[route] = [0] * (len(_BOUNDS) + 1), 0.0
        self._times[route][bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[route] += seconds

    def refused(self, reason: str) -> None:
        """A request or connection was turned away."""
        self._refused[reason] += 1

    def judged(self, kind: str, verdicts: Iterable[Verdict], *, remembered: bool) -> None:
        """Verdicts were given, from memory or anew."""
        for verdict in verdicts:
            self._verdicts[kind, "scored" if verdict.score is not None else "unscored"] += 1
            if remembered:
                self._remembered += 1
            else:
                self._usage += verdict.usage

    def text(self, *, references: int, connections: int) -> str:
        """All of it."""
        usage = self._usage
        tokens = {"prompt": usage.prompt_tokens, "cached": usage.cached_tokens, "completion": usage.completion_tokens}
        lines = [
            *_family("exprl_requests_total", "counter", "Requests answered.", _requests(self._requests)),
            *_family("exprl_refused_total", "counter", "Turned away, by reason.", _by("reason", self._refused)),
            *_family("exprl_verdicts_total", "counter", "Verdicts given.", _verdicts(self._verdicts)),
            *_family("exprl_remembered_total", "counter", "Verdicts from memory.", {(): self._remembered}),
            *_family("exprl_judge_calls_total", "counter", "Calls of a judge model.", {(): usage.calls}),
            *_family("exprl_judge_tokens_total", "counter", "Tokens of a judge model.", _by("kind", tokens)),
            *_family("exprl_in_flight", "gauge", "Requests being answered.", {(): self.in_flight}),
            *_family("exprl_connections", "gauge", "Open connections.", {(): connections}),
            *_family("exprl_references", "gauge", "Registered references.", {(): references}),
            *self._histogram(),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterator[str]:
        yield "# HELP exprl_request_seconds Seconds from a request's head to its answer."
        yield "# TYPE exprl_request_seconds histogram"
        for route, counts in sorted(self._times.items()):
            total = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), counts, strict=True):
                total += count
                yield f'exprl_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'exprl_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'exprl_request_seconds_count{{route="{route}"}} {total}'


def _family(name: str, kind: str, words: str, values: Mapping[Labels, int]) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in sorted(values.items()):
        shown = ",".join(f'{key}="{text}"' for key, text in labels)
        yield f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _by(label: str, values: Mapping[str, int]) -> dict[Labels, int]:
    return {((label, key),): value for key, value in values.items()}


def _requests(values: Mapping[tuple[str, int], int]) -> dict[Labels, int]:
    return {(("route", route), ("status", str(status))): count for (route, status), count in values.items()}


def _verdicts(values: Mapping[tuple[str, str], int]) -> dict[Labels, int]:
    return {(("kind", kind), ("outcome", outcome)): count for (kind, outcome), count in values.items()}
