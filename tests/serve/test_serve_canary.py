"""No response, log, error or metric holds a reference, a token or a text, whatever is asked: canaries in every field."""

from __future__ import annotations

import logging

import pytest
from served import ACTOR, EVALUATOR, FakeJudge, serving

from exprl.types import Verdict

SECRETS = {part: f"canary-{part}-7f3a" for part in ("solution", "answer", "tests", "trace", "raw", "reason", "key")}
# The answer is prose, so that verification goes the longest way.
PROBLEM = {
    "id": "p1",
    "problem": "Why?",
    "solution": f"Because {SECRETS['solution']} = 7",
    "answer": SECRETS["answer"],
    "domain": "math",
}


def leaks(text: str) -> list[str]:
    """Secrets that a text holds, and tokens."""
    return [secret for secret in (*SECRETS.values(), ACTOR, EVALUATOR) if secret in text]


async def test_nothing_that_the_server_says_holds_a_reference_a_token_or_a_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    judge = FakeJudge(lambda text: Verdict(0.5, raw=SECRETS["raw"], note=SECRETS["reason"]))
    broken = [
        {**PROBLEM, "id": "x", SECRETS["key"]: 1},
        {**PROBLEM, "id": 3},
        {**PROBLEM, "id": "p1", "answer": SECRETS["answer"] + "2"},
        {**PROBLEM, "id": "x", "domain": SECRETS["solution"]},
        {**PROBLEM, "id": "x", "tests": SECRETS["tests"]},
        {**PROBLEM, "id": "x", "tests": f'{{"cases": [{{"{SECRETS["tests"]}": 1}}]}}'},
        {**PROBLEM, "id": "x", "solution": {"deep": SECRETS["solution"]}},
        {**PROBLEM, "id": "x" * 300},
    ]
    said: list[str] = []
    async with serving(judge, access_log=True) as server:
        for token in (EVALUATOR, ACTOR, SECRETS["key"], None):
            for body in (PROBLEM, PROBLEM, *broken):
                answer = await server.ask("/v1/references", body, token=token)
                said += [answer.text, str(answer.headers)]
            asked = {"reference": "p1", "text": SECRETS["trace"]}
            for path in ("/v1/score", "/v1/score_prefixes", "/v1/verify"):
                for extra in ({}, {"stream": True}, {"cuts": [1]}, {SECRETS["key"]: 1}, {"reference": SECRETS["key"]}):
                    answer = await server.ask(path, {**asked, **extra}, token=token)
                    said += [answer.text, str(answer.headers)]
            for path in ("/v1/references/p1", "/metrics", "/health", "/openapi.json", "/", "/nothing"):
                for query in ("", f"?q={SECRETS['trace']}"):
                    answer = await server.ask(path + query, method="GET", token=token)
                    said += [answer.text, str(answer.headers)]
            said.append((await server.ask("/v1/score", data=SECRETS["solution"].encode(), token=token)).text)
        shown = [repr(server.state), repr(server.state.references), repr(server.state.keyring)]
    assert len(said) > 100
    assert [leak for text in (*said, *shown) for leak in leaks(text)] == []
    assert "POST /v1/score 200" in caplog.text
    logged = "\n".join(record.getMessage() + str(record.exc_text) for record in caplog.records)
    assert leaks(logged) == []


async def test_a_judge_that_breaks_with_a_reference_in_its_words_takes_it_to_its_grave(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(text: str) -> Verdict:
        raise ValueError(SECRETS["solution"]) from KeyError(SECRETS["answer"])

    async with serving(FakeJudge(fail)) as server:
        await server.register(PROBLEM)
        answers = [
            await server.ask(path, {"reference": "p1", "text": SECRETS["trace"], **extra}, token=token)
            for path, extra in (("/v1/score", {}), ("/v1/score_prefixes", {}), ("/v1/score_prefixes", {"stream": True}))
            for token in (ACTOR, EVALUATOR)
        ]
    assert [leak for answer in answers for leak in leaks(answer.text)] == []
    out, err = capsys.readouterr()
    assert leaks(caplog.text + out + err) == []
    assert caplog.text.count("ValueError in ") == 6


async def test_what_cannot_be_read_as_http_is_not_logged_word_by_word(caplog: pytest.LogCaptureFixture) -> None:
    import asyncio

    caplog.set_level(logging.DEBUG)
    async with serving() as server:
        for line in (f"Bad Header {SECRETS['key']}: 1", f"X: {SECRETS['key']}\x00", f"Authorization {ACTOR}"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.running.port)
            writer.write(f"GET /health HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
            assert b" 400 " in await reader.readline()
            writer.close()
    assert "a request that cannot be read" in caplog.text
    assert leaks(caplog.text) == []
