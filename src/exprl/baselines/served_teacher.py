r"""The teacher of self-distillation behind a server, which is asked for log-probabilities of tokens that it is given.

    POST <url>/completions   {"prompt": prompt ids + sampled ids, "max_tokens": 1, "prompt_logprobs": K, ...}
    -> choices[0].prompt_logprobs   one place a token of the prompt: {token id: {"logprob": ...}}, the token and the K likeliest

That is vLLM's form. It gives probabilities at temperature 1, p, whatever temperature is asked for; the method compares at the
sampling temperature t, where

    log p_t(i) = log p(i) / t - log Z        Z = sum over the vocabulary of p^(1/t)

For t = 1, Z is 1 and K = 0 is asked for. For t < 1 the K likeliest and the token itself are summed. Of the others it is known
that they have the rest m of the probability, and none of them more than the least of the K, q; as 1/t > 1, their part of Z lies
between 0 and m q^(1/t - 1), and log Z between that of the known part, log Y, and log Y + log(1 + m q^(1/t - 1) / Y). The middle
is taken, so that the error is at most half of the second logarithm: at t = .8 about 1e-3 where the K hold 99 %. For t > 1 there
is no such bound, and it is refused.

The server reads references: it is the evaluator's side. A message never quotes what was sent or what came back.

    >>> at_temperature(-1.0, [-0.5], 1.0)
    (-1.0, 0.0)
    >>> value, error = at_temperature(math.log(0.3), [math.log(0.6)], 0.8)  # 0.1 of the probability is elsewhere
    >>> round(value, 3), round(error, 3)
    (-1.273, 0.055)
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from exprl.config import LLMJudgeConfig, TeacherServerConfig
from exprl.errors import ConfigError
from exprl.judge.http.client import ChatClient, Service
from exprl.judge.http.wire import ALWAYS, Failure, Fault, Reply, TokenChoice
from exprl.methods.batch import Floats
from exprl.types import Usage

__all__ = ["ServedTeacher", "at_temperature"]

_SERVICE = Service("teacher", "cluster.teacher.url", "/completions", 1 << 28)
_LEAST = -1e4  # what servers write for a probability of zero, which JSON does not hold


class ServedTeacher:
    """The initial weights on one server or several, with, for every problem, a prompt that holds its reference.

    Args:
        prompts: problem id -> token ids (`teacher_prompts`).
        model: what the server calls the initial weights, where the settings do not say.
    Raises:
        ConfigError: a temperature above 1.
        JudgeError: a URL that cannot be asked.
    """

    def __init__(
        self, settings: TeacherServerConfig, prompts: Mapping[str, Sequence[int]], temperature: float, model: str
    ) -> None:
        if temperature > 1:
            raise ConfigError(
                f"temperature = {temperature:g}: a teacher behind a server gives its likeliest tokens, which do not bound "
                "what the rest of the vocabulary weighs above temperature 1; lower it, or set engine = 'trl'"
            )
        self._prompts, self._temperature = prompts, temperature
        self._model = settings.model or model
        self._alternatives = 0 if temperature == 1 else settings.alternatives
        self._client = ChatClient(
            LLMJudgeConfig(
                model=self._model,
                url=settings.url,
                api_key_env=settings.api_key_env,
                concurrency=settings.concurrency,
                timeout=settings.timeout,
                retries=settings.retries,
            ),
            _SERVICE,
        )

    async def log_probs(self, problem_id: str, ids: Sequence[int]) -> Floats | Failure:
        """(T,) the teacher's log-probability of each sampled token at the sampling temperature, or why there is none."""
        asked = [*self._prompts[problem_id], *ids]
        body = {
            "model": self._model,
            "prompt": asked,
            "max_tokens": 1,
            "temperature": 1.0,
            "prompt_logprobs": self._alternatives,
        }
        answer = await self._client.post(json.dumps(body).encode(), partial(_places, expected=asked), route=problem_id)
        if isinstance(answer, Failure):
            return answer
        places = answer.tokens[len(asked) - len(ids) :]
        return await asyncio.to_thread(self._read, places)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def _read(self, places: Sequence[TokenChoice]) -> Floats:
        found = [self._at(place) for place in places]
        return np.array(found, dtype=np.float64)

    def _at(self, place: TokenChoice) -> float:
        others = dict(place.alternatives)
        return at_temperature(others.pop(place.token), list(others.values()), self._temperature)[0]


def at_temperature(own: float, others: Sequence[float], temperature: float) -> tuple[float, float]:
    """A token's log-probability at a temperature up to 1, and the most that it is wrong by.

    Args:
        own: its log-probability at temperature 1.
        others: those of the likeliest other tokens; no token that is left out is likelier than one of them.
    """
    if temperature == 1:
        return own, 0.0
    power = 1.0 / temperature
    logs = np.array([own, *others], dtype=np.float64)
    log_known = float(np.logaddexp.reduce(power * logs))
    rest = max(0.0, 1.0 - float(np.exp(logs).sum()))
    log_most = math.log(rest) + (power - 1.0) * min(others, default=own) if rest else -math.inf
    half = float(np.logaddexp(0.0, log_most - log_known)) / 2
    return power * own - log_known - half, half


def _places(body: bytearray, expected: Sequence[int]) -> Reply | Fault:
    """The places of a prompt, each with its own token's id and the log-probabilities that were told; or what is wrong."""
    try:
        told = json.loads(body)["choices"][0]["prompt_logprobs"]
        places = [TokenChoice(str(ids), _told(place)) for ids, place in zip(expected, told, strict=True)]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Fault(
            "teacher's reply has no prompt_logprobs of the tokens that it was sent", again=ALWAYS, falters=True
        )
    if any(place.token not in dict(place.alternatives) for place in places[1:]):
        return Fault("teacher's reply leaves out tokens that it was sent: another tokenizer?", again=0)
    return Reply("", False, Usage(calls=1), tuple(places))


def _told(place: Mapping[str, Mapping[str, float]] | None) -> tuple[tuple[str, float], ...]:
    return () if place is None else tuple((str(name), _log(entry["logprob"])) for name, entry in place.items())


def _log(value: float) -> float:
    number = float(value)
    if math.isnan(number) or number > 1e-3:
        raise ValueError("no log-probability")
    return min(0.0, max(number, _LEAST))
