"""What the server answers to those who may ask."""

from __future__ import annotations

import asyncio
import json

import pytest
from served import ACTOR, EVALUATOR, PROBLEM, TRACE, FakeJudge, serving

from exprl.serve.openapi import openapi
from exprl.serve.routes import ROUTES
from exprl.types import Verdict


async def test_a_trace_is_scored_by_prefixes_as_the_judge_itself_scores_it_and_its_answer_verified() -> None:
    async with serving() as server:
        await server.register()
        asked = {"reference": "p1", "text": TRACE}
        assert (await server.ask("/v1/score", asked)).json == {"score": 1.0}
        whole = (await server.ask("/v1/score_prefixes", asked)).json
        assert whole == {"cuts": [12, 25, 37], "scores": [0.25, 0.5, 1.0]}
        assert (await server.ask("/v1/verify", asked)).json == {"score": 1.0}
        assert (await server.ask("/v1/verify", {**asked, "text": "\\boxed{187}"})).json == {"score": 0.0}


async def test_own_cuts_count_code_points_and_the_empty_trace_has_a_score() -> None:
    async with serving() as server:
        await server.register()
        text = "😀 37+25=62\n😀 62*3=186 \\boxed{186}"
        asked = {"reference": "p1", "text": text, "cuts": [10, len(text)]}
        assert (await server.ask("/v1/score_prefixes", asked)).json == {"cuts": [10, len(text)], "scores": [0.25, 1.0]}
        empty = (await server.ask("/v1/score_prefixes", {"reference": "p1", "text": ""})).json
        assert empty == {"cuts": [0], "scores": [0.0]}


@pytest.mark.parametrize("one_by_one", [True, False])
async def test_prefix_scores_come_line_by_line_and_the_last_line_says_that_all_came(one_by_one: bool) -> None:
    async with serving(one_by_one=one_by_one) as server:
        await server.register()
        answer = await server.ask("/v1/score_prefixes", {"reference": "p1", "text": TRACE, "stream": True})
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines == [
            {"cut": 12, "score": 0.25},
            {"cut": 25, "score": 0.5},
            {"cut": 37, "score": 1.0},
            {"done": True},
        ]


async def test_a_line_is_sent_while_later_prefixes_are_still_judged() -> None:
    gate = asyncio.Event()

    class Slow(FakeJudge):
        async def score(self, submissions):  # type: ignore[no-untyped-def]
            if len(submissions[0].text) > 12:
                await gate.wait()
            return [(Verdict(0.25),)]

    async with serving(Slow()) as server:
        await server.register()
        headers = {"Authorization": f"Bearer {ACTOR}"}
        body = {"reference": "p1", "text": TRACE, "stream": True}
        async with server.session.post(server.url + "/v1/score_prefixes", json=body, headers=headers) as response:
            first = await asyncio.wait_for(response.content.readline(), 5)
            assert json.loads(first) == {"cut": 12, "score": 0.25}
            gate.set()
            assert (await response.content.read()).endswith(b'{"done":true}\n')


async def test_a_stream_that_takes_too_long_says_so_in_its_last_line() -> None:
    async with serving(FakeJudge(gate=asyncio.Event()), answer=0.1) as server:
        await server.register()
        answer = await server.ask("/v1/score_prefixes", {"reference": "p1", "text": TRACE, "stream": True})
        assert [json.loads(line) for line in answer.text.splitlines()] == [{"error": "there was no verdict in time"}]
        assert (await server.ask("/v1/score", {"reference": "p1", "text": TRACE})).status == 504


async def test_no_score_is_null_and_never_0_and_is_asked_for_again() -> None:
    judge = FakeJudge(lambda text: Verdict(None, unscored="judge timeout"))
    async with serving(judge) as server:
        await server.register()
        for _ in range(2):
            assert (await server.ask("/v1/score", {"reference": "p1", "text": "x"})).json == {"score": None}
        assert judge.calls == 2
        assert await server.metric('exprl_verdicts_total{kind="outcome",outcome="unscored"}') == "2"


async def test_a_score_that_was_given_is_remembered_for_the_same_text_and_reference_only() -> None:
    judge = FakeJudge()
    async with serving(judge) as server:
        await server.register()
        await server.register({**PROBLEM, "id": "p2", "answer": "7"})
        for name, text in (("p1", "a"), ("p1", "a"), ("p1", "b"), ("p2", "a"), ("p2", "a")):
            assert (await server.ask("/v1/score", {"reference": name, "text": text})).json == {"score": 0.5}
        assert judge.calls == 3
        assert await server.metric("exprl_remembered_total") == "2"


async def test_reasons_are_given_to_an_evaluator_who_asks_and_to_nobody_else() -> None:
    judge = FakeJudge(lambda text: Verdict(0.75, likert=4, raw="it reaches 186", judge="fake", note="cut"))
    async with serving(judge) as server:
        await server.register()
        asked = {"reference": "p1", "text": "x"}
        for path in ("/v1/score", "/v1/score_prefixes", "/v1/verify"):
            assert "186" not in (await server.ask(path, asked)).text
            assert "186" not in (await server.ask(path, asked, token=EVALUATOR)).text
            refused = await server.ask(path, {**asked, "reasons": True})
            assert (refused.status, refused.json) == (403, {"error": "reasons are for evaluators"})
        told = await server.ask("/v1/score", {**asked, "reasons": True}, token=EVALUATOR)
        words = {"judge": "fake", "grade": 4, "unscored": None, "reply": "it reaches 186", "note": "cut"}
        assert told.json == {"score": 0.75, "verdict": words}
        stream = {**asked, "reasons": True, "stream": True}
        line = (await server.ask("/v1/score_prefixes", stream, token=EVALUATOR)).text.splitlines()[0]
        assert json.loads(line)["verdict"] == words


async def test_a_reference_is_registered_once_and_another_under_its_id_is_a_conflict() -> None:
    async with serving(references=2) as server:
        await server.register()
        again = await server.ask("/v1/references", PROBLEM, token=EVALUATOR)
        assert (again.status, again.json) == (200, {"id": "p1"})
        assert (await server.ask("/v1/references", {**PROBLEM, "answer": "7"}, token=EVALUATOR)).status == 409
        await server.register({**PROBLEM, "id": "a/b c"})
        assert (await server.ask("/v1/references", {**PROBLEM, "id": "p3"}, token=EVALUATOR)).status == 507
        path = "/v1/references/a%2Fb%20c"
        known = await server.ask(path, method="GET", token=EVALUATOR)
        assert known.json == {"id": "a/b c", "domain": "math"}
        assert (await server.ask(path, method="DELETE", token=EVALUATOR)).status == 204
        assert (await server.ask(path, method="DELETE", token=EVALUATOR)).status == 404


async def test_programs_are_registered_with_tests_in_any_known_form_and_others_refused() -> None:
    async with serving() as server:
        code = {"id": "c", "problem": "Add two numbers.", "domain": "code", "tests": "assert add(1, 2) == 3"}
        assert (await server.ask("/v1/references", code, token=EVALUATOR)).status == 201
        for tests in ("SECRET", '{"cases": []}', "[" * 5000, '{"cases": [{"SECRET": 1}]}'):
            refused = await server.ask("/v1/references", {**code, "id": "d", "tests": tests}, token=EVALUATOR)
            assert refused.status == 422
            assert "SECRET" not in refused.text


async def test_every_route_is_in_the_openapi_document_which_is_public() -> None:
    async with serving() as server:
        document = (await server.ask("/openapi.json", method="GET", token=None)).json
    assert isinstance(document, dict)
    assert document["openapi"] == "3.1.0"
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found == {(route.method, route.path) for route in ROUTES}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["security"] == ([] if path == "/health" else [{"token": []}])


def test_every_schema_that_the_document_names_is_in_it() -> None:
    text = json.dumps(openapi("1"))
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    schemas = openapi("1")["components"]["schemas"]  # type: ignore[index]
    assert named
    assert named <= set(schemas)


async def test_the_metrics_count_by_fixed_labels_only() -> None:
    async with serving() as server:
        await server.register()
        for _ in range(3):
            await server.ask("/v1/score", {"reference": "p1", "text": TRACE})
        await server.ask('/v1/canary"x', method="GET")
        text = (await server.ask("/metrics", method="GET", token=EVALUATOR)).text
        assert 'exprl_requests_total{route="/v1/score",status="200"} 3' in text
        assert 'exprl_request_seconds_count{route="/v1/score"} 3' in text
        assert "canary" not in text
        for line in text.splitlines():
            assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0
        assert (await server.ask("/health", method="GET", token=None)).json == {"status": "ok"}


async def test_who_goes_away_in_the_middle_of_a_stream_leaves_no_judge_at_work() -> None:
    working: set[str] = set()

    class Endless(FakeJudge):
        async def score(self, submissions):  # type: ignore[no-untyped-def]
            if len(submissions[0].text) <= 12:
                return [(Verdict(0.25),)]
            working.add(submissions[0].text)
            try:
                await asyncio.sleep(60)
            finally:
                working.discard(submissions[0].text)

    async with serving(Endless()) as server:
        await server.register()
        headers = {"Authorization": f"Bearer {ACTOR}"}
        body = {"reference": "p1", "text": TRACE, "stream": True}
        async with server.session.post(server.url + "/v1/score_prefixes", json=body, headers=headers) as response:
            await response.content.readline()
            assert len(working) == 2
            response.close()
        for _ in range(500):
            if not server.state.metrics.in_flight:
                break
            await asyncio.sleep(0.01)
        assert working == set()
        assert await server.metric('exprl_requests_total{route="/v1/score_prefixes",status="499"}') == "1"
