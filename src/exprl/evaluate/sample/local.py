"""Samples from a transformers causal language model in this process.

Each chunk of draws is one `generate` call on left-padded prompts: the full softmax at a temperature (no top-k, no
nucleus, no repetition penalty, whatever the model's own generation_config.json says), ending at the end-of-sequence
tokens of the model and the tokenizer. Before each chunk the random state is set from a hash of its ids, and put back
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
from exprl.evaluate.sample.plan import Draw, chunks, derive_seed
from exprl.prompting import encode
from exprl.types import Question, Rollout

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LocalSampler"]


class LocalSampler:
    """A `Sampler` over a model that is loaded already.

    Args:
        batch: rollouts in one `generate` call.
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
        config = self._generation_config(temperature, max_tokens)
        for chunk in chunks(questions, n, self._batch, finished):
            for rollout in self._draw(chunk, prompts, config, derive_seed(seed, [draw.id for draw in chunk])):
                if rollout.id not in finished:
                    yield rollout

    def _draw(
        self, chunk: Sequence[Draw], prompts: dict[str, list[int]], config: GenerationConfig, seed: int
    ) -> list[Rollout]:
        import torch

        ids, mask = _left_padded([prompts[draw.question.id] for draw in chunk], config.pad_token_id)
        device = self._model.device
        with _sampling(self._model, seed), torch.no_grad():
            output = self._model.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config
            )
        answers = output[:, ids.shape[1] :].tolist()
        return [self._rollout(draw, answer, config.max_new_tokens) for draw, answer in zip(chunk, answers, strict=True)]

    def _rollout(self, draw: Draw, answer: list[int], max_tokens: int) -> Rollout:
        # Padding follows the first stop token, and may be the same token: what counts is where the first one stands.
        end = next((i + 1 for i, token in enumerate(answer) if token in self._stops), None)
        ids = answer[:end]
        return Rollout(
            id=draw.id,
            question_id=draw.question.id,
            text=str(self._tokenizer.decode(ids, skip_special_tokens=True)),
            tokens=len(ids),
            truncated=end is None and len(ids) >= max_tokens,
            ids=tuple(ids),
        )

    def _generation_config(self, temperature: float, max_tokens: int) -> GenerationConfig:
        from transformers import GenerationConfig

        pad = self._tokenizer.pad_token_id
        if pad is None:  # Masked out in the prompt and cut off after it, so that any token will do.
            pad = min(self._stops, default=0)
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}
        return GenerationConfig(
            max_new_tokens=max_tokens, pad_token_id=pad, eos_token_id=sorted(self._stops) or None, **how
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


def _left_padded(prompts: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(R,T) token ids and attention mask, prompts flush right so that every answer starts in the same column."""
    import torch

    width = max(len(ids) for ids in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


@contextmanager
def _sampling(model: PreTrainedModel, seed: int) -> Iterator[None]:
    """Evaluation mode, a known random state, and no generation defaults of the model's own; all put back after."""
    import torch
    from transformers import GenerationConfig

    # `generate` fills whatever its configuration leaves open from the model's (a top-k of 20, a repetition penalty).
    training, defaults = model.training, model.generation_config
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        model.eval()
        model.generation_config = GenerationConfig()
        try:
            yield
        finally:
            model.generation_config = defaults
            model.train(training)
