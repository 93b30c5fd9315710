"""Samples from a transformers causal language model in this process.

Each chunk of draws is one `exprl.evaluate.sample.generate` call: the full softmax at a temperature (no top-k, no nucleus,
no repetition penalty, whatever the model's own generation_config.json says), ending at the end-of-sequence tokens of the
model and the tokenizer. Before each chunk the random state is set from a hash of its ids, and put back
after, so that sampling in the middle of training changes nothing there and a resumed run repeats no chunk and alters
none. Samples are the same again for the same chunks on the same kind of machine; another `batch` makes other chunks.

What this module refuses: prompts and answers that do not fit into the model's positions.

    >>> sampler = LocalSampler(model, tokenizer, PromptConfig(), batch=64)  # doctest: +SKIP
    >>> next(sampler.sample([Question("q", "1 + 1?")], 4, temperature=0.8, max_tokens=512, seed=0)).id  # doctest: +SKIP
    'q/0'
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exprl.config import PromptConfig
from exprl.errors import ConfigError
from exprl.evaluate.sample.generate import generate
from exprl.evaluate.sample.plan import Draw, chunks, derive_seed
from exprl.prompting import encode
from exprl.types import Question, Rollout

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LocalSampler"]


class LocalSampler:
    """A `Sampler` over a model that is loaded already.

    Args:
        batch: rollouts sampled at once.
        device: where the model runs; default: where it is.
        chat: apply the chat template; default: if the tokenizer has one.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: PromptConfig,
        *,
        batch: int = 256,
        device: str | torch.device | None = None,
        chat: bool | None = None,
    ) -> None:
        self._model = model if device is None else model.to(device)
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._batch = batch
        self._chat = chat
        self._stops = _stop_tokens(model, tokenizer)

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
        """See `Sampler.sample`; in the order of draws.

        Raises:
            ConfigError: a prompt that leaves no room for `max_tokens` in the model's positions.
        """
        finished = frozenset(done)
        prompts = {q.id: encode(q, self._prompt, self._tokenizer, self._chat) for q in questions}
        self._check_room(prompts, max_tokens)
        for chunk in chunks(questions, n, self._batch, finished):
            with _sampling(self._model, derive_seed(seed, [draw.id for draw in chunk])):
                answers = generate(
                    self._model,
                    [prompts[draw.question.id] for draw in chunk],
                    temperature=temperature,
                    max_tokens=max_tokens,
                    stops=self._stops,
                )
            for draw, ids in zip(chunk, answers, strict=True):
                if draw.id not in finished:
                    yield self._rollout(draw, ids)

    def _rollout(self, draw: Draw, ids: list[int]) -> Rollout:
        return Rollout(
            id=draw.id,
            question_id=draw.question.id,
            text=str(self._tokenizer.decode(ids, skip_special_tokens=True)),
            tokens=len(ids),
            truncated=ids[-1] not in self._stops,
            ids=tuple(ids),
        )

    def _check_room(self, prompts: dict[str, list[int]], max_tokens: int) -> None:
        positions = getattr(self._model.config, "max_position_embeddings", None)
        longest = max(prompts, key=lambda name: len(prompts[name]), default="")
        if positions is not None and longest and len(prompts[longest]) + max_tokens > positions:
            raise ConfigError(
                f"the prompt of {longest} has {len(prompts[longest])} tokens, and {max_tokens} more do not fit into "
                f"the model's {positions} positions; lower max_tokens or leave the problem out"
            )


def _stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    # A chat model ends its turn with a token of its own, which only its generation config may name.
    own = model.generation_config.eos_token_id if model.generation_config is not None else None
    found = own if isinstance(own, list) else [own]
    return frozenset(int(token) for token in [*found, tokenizer.eos_token_id] if token is not None)


@contextmanager
def _sampling(model: PreTrainedModel, seed: int) -> Iterator[None]:
    """Evaluation mode and a known random state; both put back after."""
    import torch

    training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            model.train(training)
