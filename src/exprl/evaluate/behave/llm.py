"""The annotator with a model: one call a rollout, over the judge's client, with the judge's ledger.

Whatever goes wrong (HTTP error, hang, cost limit, a reply that does not fit) is an unannotated trace with a reason. The
call asks for the schema where `judge.structured` is set; the reply is held to it either way. Calls of one problem go to
one endpoint. The key comes from the environment variable that the configuration names.

    annotator = LLMAnnotator(LLMJudgeConfig(model="Qwen/Qwen3-4B-Instruct-2507"), store=folder)
    annotation = await annotator.annotate(trace)
    await annotator.aclose()
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Protocol

from exprl.config import LLMJudgeConfig
from exprl.evaluate.behave.annotation import Annotation, Trace
from exprl.evaluate.behave.prompt import LAYOUT, form, messages, parse
from exprl.judge.http.client import ChatClient
from exprl.judge.http.wire import Ask, Failure, Reply
from exprl.judge.store.ledger import Ledger, Prices, Spend

__all__ = ["LLMAnnotator", "identity_of"]

_FILE = "judge.sqlite"


class _Client(Protocol):
    """What is asked of a chat client."""

    async def complete(self, ask: Ask, *, deadline: float | None = None) -> Reply | Failure: ...

    async def aclose(self) -> None: ...


def identity_of(config: LLMJudgeConfig) -> str:
    """Changes whenever annotations may: with the model, its sampling, the prompt, and what is shown of a trace."""
    settings = (config.model, config.temperature, config.max_tokens, config.structured, config.trace_limit)
    return f"llm:{settings!r}:{LAYOUT}"


class LLMAnnotator:
    """Annotates by a model's reply.

    Args:
        config: model, endpoints, limits.
        store: the folder of the ledger; without it costs are counted in memory.
        client: who asks; default: one for `config`.
    Raises:
        JudgeError: a URL or the key cannot be used.
    """

    def __init__(self, config: LLMJudgeConfig, *, store: Path | None = None, client: _Client | None = None) -> None:
        self.name = f"llm:{config.model}"
        self.identity = identity_of(config)
        self._config = config
        self._secret = secrets.token_bytes(32)
        self._client: _Client = ChatClient(config) if client is None else client
        account = None if store is None else store / _FILE
        self._ledger = Ledger.open(account, prices=Prices.of(config), limit=config.cost_limit)

    async def annotate(self, trace: Trace) -> Annotation:
        """Ask about one trace."""
        if (reason := self._ledger.reason()) is not None:
            return Annotation(why=reason)
        ask = Ask(
            messages(trace, self._secret, self._config.trace_limit),
            route=trace.question,
            response_format=form() if self._config.structured else None,
        )
        outcome = await self._client.complete(ask)
        self._ledger.charge(outcome.usage, self.name)
        if isinstance(outcome, Failure):
            return Annotation(why=outcome.reason)
        return parse(outcome.text, cut_short=outcome.cut_short)

    def spent(self) -> Spend:
        """What annotating has cost, with earlier calls on this folder."""
        return self._ledger.spent()

    async def aclose(self) -> None:
        """Close the connections and the files."""
        await self._client.aclose()
        self._ledger.close()
