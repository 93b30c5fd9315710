"""The sampling loop gives what `model.generate` gives, for every kind of causal model, and drops what has ended."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from exprl.errors import EngineError
from exprl.evaluate.sample import generate as module
from exprl.evaluate.sample.generate import generate

STOP, SIZE = 1, 12
PROMPTS = [[2, 3, 4], [5, 6, 7, 8, 9, 10], [2, 3, 4], [11], [5, 6, 7, 8, 9, 10], [4, 4]]


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=SIZE,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.4,
            eos_token_id=STOP,
            bos_token_id=None,
        )
    )


def mistral() -> PreTrainedModel:
    """Each layer sees four tokens back: its cache forgets."""
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=SIZE,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            sliding_window=4,
            initializer_range=0.4,
            eos_token_id=STOP,
            bos_token_id=None,
        )
    )


def gpt2() -> PreTrainedModel:
    """Positions are absolute: padding must not count."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=SIZE,
            n_positions=64,
            n_embd=16,
            n_layer=2,
            n_head=2,
            initializer_range=0.4,
            eos_token_id=STOP,
            bos_token_id=None,
        )
    )


def bloom() -> PreTrainedModel:
    """Knows no position ids: it counts distances."""
    return BloomForCausalLM(
        BloomConfig(
            vocab_size=SIZE,
            hidden_size=16,
            n_layer=2,
            n_head=2,
            initializer_range=0.4,
            eos_token_id=STOP,
            bos_token_id=None,
        )
    )


@pytest.mark.parametrize("make", [llama, mistral, gpt2, bloom])
@pytest.mark.parametrize("share", [0.0, 0.9, 1.0], ids=["never drops", "drops at 0.9", "drops at once"])
def test_the_likeliest_continuation_is_that_of_transformers(
    monkeypatch: pytest.MonkeyPatch, make: type[PreTrainedModel], share: float
) -> None:
    monkeypatch.setattr(module, "_DROP_BELOW", share)
    lengths = set()
    for seed in range(4):
        torch.manual_seed(seed)
        model = make().eval()
        found = generate(model, PROMPTS, temperature=0, max_tokens=12, stops=[STOP])
        for prompt, ids in zip(PROMPTS, found, strict=True):
            config = GenerationConfig(max_new_tokens=12, do_sample=False, eos_token_id=STOP, pad_token_id=0)
            wanted = model.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), generation_config=config
            )
            assert ids == wanted[0, len(prompt) :].tolist()
        lengths |= {len(ids) for ids in found}
    assert len(lengths) > 1


def test_a_continuation_ends_with_its_first_stop_token_or_at_the_limit() -> None:
    torch.manual_seed(0)
    found = generate(llama().eval(), [[2, 3]] * 64, temperature=1.0, max_tokens=9, stops=[STOP, 7])
    assert {len(ids) for ids in found} == set(range(1, 10))
    for ids in found:
        assert not {STOP, 7} & set(ids[:-1])
        assert len(ids) == 9 or ids[-1] in {STOP, 7}


def test_later_tokens_follow_the_softmax_given_the_earlier_ones() -> None:
    torch.manual_seed(0)
    model = llama().eval()
    found = generate(model, [[2, 3]] * 4000, temperature=0.7, max_tokens=2, stops=[STOP])
    first = max(range(SIZE), key=lambda token: sum(ids[0] == token for ids in found if token != STOP))
    second = torch.tensor([ids[1] for ids in found if ids[0] == first])
    assert len(second) > 400
    with torch.no_grad():
        wanted = torch.softmax(model(torch.tensor([[2, 3, first]])).logits[0, -1] / 0.7, dim=-1)
    assert float((torch.bincount(second, minlength=SIZE) / len(second) - wanted).abs().max()) < 0.08


def test_the_random_state_decides() -> None:
    model = llama().eval()

    def once(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return generate(model, PROMPTS, temperature=1.0, max_tokens=8, stops=[STOP])

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_equal_prompts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = llama().eval(), []
    monkeypatch.setattr(
        model.model,
        "forward",
        lambda *args, before=model.model.forward, **more: (rows.append(len(more["input_ids"])), before(*args, **more))[
            1
        ],
    )
    generate(model, PROMPTS, temperature=1.0, max_tokens=3, stops=[])
    assert rows == [4, 6, 6]


def test_nothing_to_do_and_what_cannot_be_done() -> None:
    assert generate(llama(), [], temperature=1.0, max_tokens=3, stops=[STOP]) == []
    model = T5ForConditionalGeneration(T5Config(vocab_size=8, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8))
    with pytest.raises(EngineError, match="causal language model"):
        generate(model, [[1]], temperature=1.0, max_tokens=1, stops=[])
