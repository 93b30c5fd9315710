"""A judge model behind the server: streamed prefix by prefix, paid for once, and its words for the evaluator alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from served import ACTOR, EVALUATOR, Served

from exprl.config import RunConfig
from exprl.errors import ConfigError
from exprl.serve.auth import ACTOR_TOKEN, EVALUATOR_TOKEN
from exprl.serve.build import build_state
from exprl.serve.limits import Limits
from exprl.serve.run import start
from local_server import listening

CANARY = "the reference says 37+25=62"
TRACE = "first ###\nsecond ###\nthird"


@asynccontextmanager
async def chat() -> AsyncIterator[tuple[str, list[str]]]:
    """A chat endpoint that quotes the reference, and what it was asked."""
    asked: list[str] = []

    async def complete(request: web.Request) -> web.Response:
        asked.append(await request.text())
        words = f"{CANARY}.\n\nScore: {2 + ('second' in asked[-1]) + ('third' in asked[-1])}"
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return web.json_response({"choices": [choice], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with listening(app) as url:
        yield url, asked


def configured(**judge: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "s",
            "data": {"train": {"path": "world:chain/easy", "limit": 3}},
            "judge": judge or {"type": "milestone"},
        }
    )


@asynccontextmanager
async def built(config: RunConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv(ACTOR_TOKEN, ACTOR)
    monkeypatch.setenv(EVALUATOR_TOKEN, EVALUATOR)
    state = build_state(config, (), folder, Limits(grace=1.0))
    running = await start(state, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        try:
            yield Served(state, running, session)
        finally:
            await running.stop()


async def test_its_scores_are_streamed_its_words_kept_and_its_verdicts_paid_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chat() as (url, asked):
        config = configured(type="llm", model="m", url=url)
        stream = {"reference": "p1", "text": TRACE, "stream": True}
        for paid in ("3", "0"):  # the second server finds the verdicts on the disk
            async with built(config, tmp_path, monkeypatch) as server:
                assert server.state.one_by_one
                await server.register()
                answer = await server.ask("/v1/score_prefixes", stream)
                lines = [json.loads(line) for line in answer.text.splitlines()]
                assert [line.get("score") for line in lines] == [0.25, 0.5, 0.75, None]
                assert lines[-1] == {"done": True}
                assert CANARY not in answer.text
                assert len(asked) == 3
                assert await server.metric("exprl_judge_calls_total") == paid
                told = await server.ask("/v1/score_prefixes", {**stream, "reasons": True}, token=EVALUATOR)
                assert told.text.count(CANARY) == 3
    assert (tmp_path / "judge.sqlite").is_file()


async def test_a_judge_model_that_is_not_there_gives_no_score_and_tells_an_evaluator_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(type="llm", model="m", url="http://127.0.0.1:9/v1", retries=0)
    async with built(config, tmp_path, monkeypatch) as server:
        await server.register()
        asked = {"reference": "p1", "text": "x"}
        assert (await server.ask("/v1/score", asked)).json == {"score": None}
        told = (await server.ask("/v1/score", {**asked, "reasons": True}, token=EVALUATOR)).json
        assert isinstance(told, dict)
        assert "unreachable" in told["verdict"]["unscored"]


@pytest.mark.parametrize(
    ("judge", "one_by_one"),
    [
        ({"type": "milestone"}, False),
        ({"type": "llm", "model": "m"}, True),
        ({"type": "llm", "model": "m", "prefixes": "once"}, False),
        ({"type": "panel", "members": {"a": {"judge": {"type": "llm", "model": "m"}}}}, True),
        ({"type": "panel", "members": {"a": {"judge": {"type": "milestone"}}}}, False),
    ],
)
def test_prefixes_are_judged_one_by_one_only_where_that_costs_no_more(
    judge: dict[str, object], one_by_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACTOR_TOKEN, ACTOR)
    assert build_state(configured(**judge), (), tmp_path, Limits()).one_by_one is one_by_one


def test_the_sets_of_a_configuration_are_registered_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACTOR_TOKEN, ACTOR)
    assert len(build_state(configured(), ("hard_train",), tmp_path, Limits()).references) == 3
    with pytest.raises(ConfigError, match="more than 2 references"):
        build_state(configured(), ("hard_train",), tmp_path, Limits(references=2))
