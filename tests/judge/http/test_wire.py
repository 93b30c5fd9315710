"""What goes out is what was asked; what comes in is a reply or a short reason, whatever the bytes are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.config import LLMJudgeConfig
from exprl.judge.http.wire import ALWAYS, Ask, Fault, Reply, TokenChoice, completion, model_ids, payload, refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "logprobs", "top_logprobs", "token", "logprob", "data"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


def body(**choice: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": "5"}} | choice]}).encode()


@given(st.binary(max_size=200) | JSON.map(lambda data: json.dumps(data).encode()))
def test_any_body_is_a_reply_or_a_reason_that_does_not_quote_it(data: bytes) -> None:
    got = completion(data)
    if isinstance(got, Fault):
        assert got.reason in {"judge reply is not JSON", "judge reply has no choices", "judge reply has no text"}
        assert got.again == ALWAYS


@given(st.binary(max_size=200) | JSON.map(lambda data: json.dumps(data).encode()), st.text(max_size=3))
def test_any_list_of_models_is_read(data: bytes, model: str) -> None:
    assert all(model_ids(data, model))


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_goes_out_as_json_in_utf8(text: str) -> None:
    sent = json.loads(payload(LLMJudgeConfig(model="m"), Ask([{"role": "user", "content": text}])).decode("utf-8"))
    assert sent["messages"][0]["content"] == text.encode("utf-8", "replace").decode()


def test_the_likeliest_tokens_are_read_with_their_log_probabilities() -> None:
    places = [
        {
            "token": "4",
            "logprob": -0.1,
            "top_logprobs": [{"token": "4", "logprob": -0.1}, {"token": "5", "logprob": -2}],
        },
        {"token": "\n", "logprob": -0.5},
    ]
    got = completion(body(logprobs={"content": places}))
    assert isinstance(got, Reply)
    assert got.tokens == (TokenChoice("4", (("4", -0.1), ("5", -2.0))), TokenChoice("\n", (("\n", -0.5),)))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "1", None, True, 10**400])
def test_a_log_probability_that_is_no_number_is_left_out(value: object) -> None:
    got = completion(body(logprobs={"content": [{"token": "4", "top_logprobs": [{"token": "4", "logprob": value}]}]}))
    assert isinstance(got, Reply)
    assert got.tokens == (TokenChoice("4", ()),)


@pytest.mark.parametrize("logprobs", [None, [], {"content": None}, {"content": [None, {"token": 4}]}])
def test_a_server_without_log_probabilities_gives_none(logprobs: object) -> None:
    got = completion(body(logprobs=logprobs))
    assert isinstance(got, Reply)
    assert got.tokens == ()


def test_a_reply_without_end_is_not_json() -> None:
    assert completion(b"[" * 100_000) == Fault("judge reply is not JSON", ALWAYS, falters=True)


def test_a_pause_is_read_as_seconds_or_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert refusal(429, "7", "K").pause == 7.0
    assert 28 < (refusal(503, soon, "K").pause or 0) <= 30
    assert refusal(429, format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), "K").pause == 0.0
    assert [refusal(429, header, "K").pause for header in ("", "soon", "-3")] == [None, None, None]


def test_what_a_status_is_worth() -> None:
    again = {status: refusal(status, "", "K").again for status in (400, 401, 404, 408, 409, 422, 425, 429, 500, 599)}
    assert {status for status, times in again.items() if times == ALWAYS} == {408, 409, 425, 429, 500, 599}
    assert {status for status, times in again.items() if times == 0} == {400, 401, 404, 422}


def test_of_many_models_only_the_one_that_is_asked_counts() -> None:
    data = json.dumps({"data": [{"id": "a"}, {"id": "m", "root": "org/m"}, {"id": "m", "root": "org/m"}]}).encode()
    assert model_ids(data, "m") == ["m org/m"]
    assert model_ids(data, "x") == ["a", "m org/m"]
