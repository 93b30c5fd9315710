"""Samples are drawn in a fixed order with fixed seeds, ended where the policy ends them, and graded row by row."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stamina
from aiohttp import web

from exprl.config import PromptConfig
from exprl.errors import ConfigError, DataError, EngineError
from exprl.evaluate.sample import HTTPSampler, LocalSampler, chunks, count_correct, derive_seed, draws, grade
from exprl.runs import append_jsonl, read_jsonl
from exprl.types import Problem, Question, Reference, Rollout, Verdict
from local_server import in_a_thread, listening

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BARE = PromptConfig(system=None)
ALPHABET = "0123456789+?= abc"
EOS, PAD = 0, 1


def ask(*texts: str) -> list[Question]:
    return [Question(f"q{i}", text) for i, text in enumerate(texts)]


# -- the plan


def test_draws_go_problem_by_problem_and_slices_do_not_depend_on_what_is_done() -> None:
    questions = ask("a", "b")
    ids = [draw.id for draw in draws(questions, 3)]
    assert ids == ["q0/0", "q0/1", "q0/2", "q1/0", "q1/1", "q1/2"]
    whole = [[draw.id for draw in chunk] for chunk in chunks(questions, 3, 4)]
    assert whole == [ids[:4], ids[4:]]
    assert [[draw.id for draw in chunk] for chunk in chunks(questions, 3, 4, done=ids[:4])] == whole[1:]
    assert [[draw.id for draw in chunk] for chunk in chunks(questions, 3, 4, done=ids[1:])] == whole[:1]


def test_seeds_are_the_same_everywhere_and_differ_by_seed_and_ids() -> None:
    assert derive_seed(0, ["q0/0", "q0/1"]) == 7201354302692913148
    seeds = {derive_seed(0, ["a"]), derive_seed(1, ["a"]), derive_seed(0, ["b"]), derive_seed(0, ["a", "b"])}
    assert len(seeds) == 4
    assert 0 <= derive_seed(7, ["x"], bits=31) < 2**31


# -- a model in this process


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<eos>": EOS, "<pad>": PAD, **{character: i + 2 for i, character in enumerate(ALPHABET)}}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    characters.decoder = decoders.Fuse()
    made: PreTrainedTokenizerBase = PreTrainedTokenizerFast(
        tokenizer_object=characters, eos_token="<eos>", pad_token="<pad>"
    )
    return made


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    made: PreTrainedModel = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(ALPHABET) + 2,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=128,
            eos_token_id=EOS,
            bos_token_id=None,
            pad_token_id=PAD,
        )
    )
    return made


def local(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: int = 4) -> LocalSampler:
    return LocalSampler(model, tokenizer, BARE, batch=batch)


def drawn(
    sampler: LocalSampler | HTTPSampler,
    questions: Sequence[Question],
    n: int,
    *,
    temperature: float = 1.0,
    max_tokens: int = 24,
    seed: int = 0,
    done: Collection[str] = (),
) -> list[Rollout]:
    return list(sampler.sample(questions, n, temperature=temperature, max_tokens=max_tokens, seed=seed, done=done))


def test_a_rollout_ends_at_the_end_token_or_is_truncated(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    rollouts = drawn(local(model, tokenizer, 16), ask("1+1?", "12+34+5?"), 16)
    assert [rollout.id for rollout in rollouts[15:17]] == ["q0/15", "q1/0"]
    assert {rollout.truncated for rollout in rollouts} == {True, False}
    for rollout in rollouts:
        assert rollout.tokens == len(rollout.ids) <= 24
        assert rollout.truncated == (rollout.ids[-1] != EOS)
        assert EOS not in rollout.ids[:-1]
        # A random policy may write padding tokens of its own; special tokens are not text.
        assert rollout.text == "".join(ALPHABET[token - 2] for token in rollout.ids if token > PAD)


def test_the_same_seed_gives_the_same_samples_and_another_gives_others(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    sampler, questions = local(model, tokenizer), ask("1?", "2+2?")
    first = drawn(sampler, questions, 4)
    assert drawn(sampler, questions, 4) == first
    assert [rollout.text for rollout in drawn(sampler, questions, 4, seed=1)] != [rollout.text for rollout in first]
    assert len({rollout.text for rollout in first}) > 4


@pytest.mark.parametrize("kept", [0, 3, 4, 5, 12])
def test_a_resumed_sampling_draws_what_an_uninterrupted_one_draws(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, kept: int
) -> None:
    questions = ask("1?", "22?", "3+3+3?")
    whole = drawn(local(model, tokenizer), questions, 4)
    done = [rollout.id for rollout in whole[:kept]]
    assert drawn(local(model, tokenizer), questions, 4, done=done) == whole[kept:]


def test_sampling_leaves_training_as_it_was(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    import torch

    model.train()
    defaults = model.generation_config
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    drawn(local(model, tokenizer), ask("1?"), 4)
    assert torch.equal(torch.rand(3), before)
    assert model.training
    assert model.generation_config is defaults
    model.eval()


def test_the_models_own_sampling_defaults_are_not_used(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    from transformers import GenerationConfig

    plain = drawn(local(model, tokenizer), ask("1?"), 4)
    kept = model.generation_config
    model.generation_config = GenerationConfig(top_k=1, do_sample=True, repetition_penalty=9.0, eos_token_id=EOS)
    try:
        assert drawn(local(model, tokenizer), ask("1?"), 4) == plain
        model.generation_config = GenerationConfig(eos_token_id=[EOS, 2])
        assert any(rollout.ids[-1] == 2 for rollout in drawn(local(model, tokenizer, 16), ask("1?"), 16))
    finally:
        model.generation_config = kept


def test_padding_does_not_change_a_greedy_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    questions = ask("1?", "12+34+56+78?")
    together = drawn(local(model, tokenizer), questions, 1, temperature=0.0)
    alone = [rollout for q in questions for rollout in drawn(local(model, tokenizer), [q], 1, temperature=0.0)]
    assert together == alone


def test_samples_follow_the_full_softmax(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    import torch

    rollouts = drawn(local(model, tokenizer, 2000), ask("1?"), 2000, max_tokens=1, temperature=0.7)
    prompt = torch.tensor([tokenizer.encode("1?")])
    with torch.no_grad():
        expected = torch.softmax(model(prompt).logits[0, -1] / 0.7, dim=-1)
    found = torch.bincount(torch.tensor([rollout.ids[0] for rollout in rollouts]), minlength=len(expected)) / 2000
    assert float((found - expected).abs().max()) < 0.04
    assert int((found > 0).sum()) == len(expected)


def test_an_answer_that_does_not_fit_is_refused(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(
        ConfigError, match="the prompt of q1 has 9 tokens, and 120 more do not fit into the model's 128"
    ):
        drawn(local(model, tokenizer), ask("1?", "1+1+1+1+1"), 1, max_tokens=120)


# -- a server


Handler = Callable[[dict[str, object], web.Request], web.Response]


@contextmanager
def server(handler: Handler) -> Iterator[str]:
    """An aiohttp server in a thread of its own, as a policy's server is a process of its own."""

    async def reply(request: web.Request) -> web.Response:
        return handler(await request.json(), request)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", reply)
    with in_a_thread(listening(app)) as url:
        yield url


def completion(text: str | None, finish: str = "stop", **more: object) -> web.Response:
    choice = {"message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}
    return web.json_response({"choices": [choice], "usage": {"completion_tokens": 3}})


def http(url: str, *, concurrency: int = 32, retries: int = 4) -> HTTPSampler:
    return HTTPSampler(url, "tiny", PromptConfig(system="Think."), timeout=5, concurrency=concurrency, retries=retries)


def test_every_sample_is_one_request_with_the_full_softmax_and_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPRL_POLICY_API_KEY", "secret")
    seen: list[dict[str, object]] = []

    def handler(body: dict[str, object], request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        seen.append(body)
        return completion("so 2", "length" if len(seen) == 1 else "stop")

    with server(handler) as url:
        rollouts = drawn(http(url, concurrency=1), ask("1+1?"), 3, temperature=0.8, max_tokens=7)
    assert [(r.id, r.question_id, r.text, r.tokens) for r in rollouts] == [
        (f"q0/{i}", "q0", "so 2", 3) for i in range(3)
    ]
    assert [rollout.truncated for rollout in rollouts] == [True, False, False]
    assert len({str(body.pop("seed")) for body in seen}) == 3
    assert seen[0] == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Think."}, {"role": "user", "content": "1+1?"}],
        "temperature": 0.8,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0,
        "max_tokens": 7,
    }


def test_many_requests_fly_at_once_and_finished_ones_are_not_asked_again() -> None:
    texts: list[str] = []

    def handler(body: dict[str, object], request: web.Request) -> web.Response:
        texts.append(str(body["messages"]))
        assert "Authorization" not in request.headers
        return completion("x")

    with server(handler) as url:
        rollouts = drawn(http(url, concurrency=8), ask("a", "b"), 20, done=[f"q0/{i}" for i in range(19)])
    assert {rollout.id for rollout in rollouts} == {"q0/19", *(f"q1/{i}" for i in range(20))}
    assert len(texts) == 21


def test_a_busy_server_is_asked_again() -> None:
    states = [503, 429]

    def handler(body: dict[str, object], request: web.Request) -> web.Response:
        return web.Response(status=states.pop()) if states else completion("x")

    with server(handler) as url, stamina.set_testing(True, attempts=3):  # without its pauses
        assert [rollout.text for rollout in drawn(http(url), ask("a"), 1)] == ["x"]
    assert not states


def test_a_server_that_is_not_there_stops_sampling_resumably() -> None:
    with pytest.raises(
        EngineError, match=r"no sample from http://127\.0\.0\.1:9/v1/chat/completions after 1 tries.*--resume"
    ):
        drawn(http("http://127.0.0.1:9/v1", retries=0), ask("a"), 2)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (lambda: web.Response(status=404, text="no such model"), "status 404: 'no such model'"),
        (lambda: web.Response(text="<html>"), "does not answer in JSON: '<html>'"),
        (lambda: web.json_response({"choices": []}), "lacks choices"),
        (lambda: web.json_response([1]), "lacks choices"),
        (lambda: completion(None, reasoning_content="hm"), "without a reasoning parser"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, response: Callable[[], web.Response], message: str
) -> None:
    monkeypatch.setenv("EXPRL_POLICY_API_KEY", "secret")
    with server(lambda body, request: response()) as url, pytest.raises(EngineError, match=message) as caught:
        drawn(http(url), ask("a"), 3)
    assert "secret" not in str(caught.value)


def test_requests_that_fail_together_give_one_error_and_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EngineError):
        drawn(http("http://127.0.0.1:9/v1", concurrency=20, retries=0), ask("a"), 40)
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_consumer_that_stops_early_leaves_nothing_behind() -> None:
    with server(lambda body, request: completion("x")) as url:
        rollouts = http(url, concurrency=4).sample(ask("a"), 50, temperature=1.0, max_tokens=1, seed=0)
        assert isinstance(rollouts, Iterator)
        assert next(rollouts).text == "x"
        del rollouts


def test_the_server_is_kept_busy_while_the_caller_does_something_else() -> None:
    asked = threading.Event()
    count = 0

    def handler(body: dict[str, object], request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        if count == 6:
            asked.set()
        return completion("x")

    with server(handler) as url:
        rollouts = http(url, concurrency=4).sample(ask("a"), 50, temperature=1.0, max_tokens=1, seed=0)
        next(iter(rollouts))
        assert asked.wait(10)  # nobody asks for a rollout meanwhile
        time.sleep(0.2)
        assert count < 20  # but no more than a few wait for the caller
        del rollouts


# -- grading


class FakeSampler:
    """Answers with its question's number of sample, and fails after `budget` rollouts."""

    def __init__(self, budget: int = 1000) -> None:
        self._budget = budget

    def sample(
        self,
        questions: Sequence[Question],
        n: int,
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
        done: Collection[str] = (),
    ) -> Iterator[Rollout]:
        for draw in draws(questions, n):
            if draw.id not in done:
                self._budget -= 1
                if self._budget < 0:
                    raise KeyboardInterrupt
                yield Rollout(draw.id, draw.question.id, str(draw.sample), 1, False)


class FakeVerifier:
    """Sample 0 is right, sample 1 cannot be graded, the others are wrong."""

    name = "fake"

    def verify(self, pairs: Sequence[tuple[Problem, str]]) -> list[Verdict]:
        return [Verdict(None, "timeout") if text == "1" else Verdict(float(text == "0")) for _, text in pairs]

    def close(self) -> None:
        pass


PROBLEMS = [Problem(f"q{i}", "?", Reference("s", "a")) for i in range(3)]


def count(path: Path, sampler: FakeSampler) -> list[int]:
    counts = count_correct(path, PROBLEMS, sampler, FakeVerifier(), n=4, temperature=1.0, max_tokens=1, seed=0, batch=5)
    assert counts.n_SP.tolist() == [[4, 4, 4]]
    assert counts.unscored_SP.tolist() == [[1, 1, 1]]
    return [int(correct) for correct in counts.correct_SP[0]]


def test_samples_become_rows_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    assert count(path, FakeSampler()) == [1, 1, 1]
    rows = read_jsonl(path)
    assert rows[1] == {
        "id": "q0/1",
        "question_id": "q0",
        "sample": 1,
        "text": "1",
        "tokens": 1,
        "truncated": False,
        "correct": None,
    }
    assert [row["correct"] for row in rows[:4]] == [1.0, None, 0.0, 0.0]


def test_a_killed_sampling_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "samples.jsonl"
    count(whole, FakeSampler())
    with pytest.raises(KeyboardInterrupt):
        count(path, FakeSampler(budget=7))
    assert len(read_jsonl(path)) == 5
    with path.open("ab") as file:
        file.write(b'{"id": "q1/1", "quest')
    assert count(path, FakeSampler(budget=7)) == [1, 1, 1]
    assert path.read_bytes() == whole.read_bytes()
    assert count(path, FakeSampler(budget=0)) == [1, 1, 1]


def test_rows_of_other_problems_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_jsonl(path, [{"id": "z/0", "question_id": "z", "correct": 1.0}])
    assert count(path, FakeSampler()) == [1, 1, 1]


def test_a_rollout_of_an_unknown_problem_is_refused() -> None:
    with pytest.raises(DataError, match="a rollout answers 'x', which is not among the 3 problems"):
        list(grade([Rollout("x/0", "x", "", 0, False)], PROBLEMS, FakeVerifier()))


def test_what_came_before_an_error_is_graded_and_comes_first() -> None:
    def dying() -> Iterator[Rollout]:
        yield from (Rollout(f"q0/{i}", "q0", "0", 1, False) for i in range(3))
        raise EngineError("the server is gone")

    graded = grade(dying(), PROBLEMS, FakeVerifier(), batch=2)
    assert [[row["id"] for row in next(graded)] for _ in range(2)] == [["q0/0", "q0/1"], ["q0/2"]]
    with pytest.raises(EngineError, match="the server is gone"):
        next(graded)
