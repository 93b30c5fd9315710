"""The benchmark of shared prefill: its simulated cache counts as stated, and it measures a server that counts for itself."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from aiohttp import web
from chat_server import completion, serving

from loading import BENCHMARKS, loaded_benchmark

pytest.importorskip("tokenizers")
SCRIPT = BENCHMARKS / "prefix_sharing.py"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with loaded_benchmark("prefix_sharing") as module:
        yield module


def test_a_block_is_found_only_behind_all_the_blocks_before_it(benchmark: ModuleType) -> None:
    cache = benchmark.PrefixCache()
    ids = list(range(100))
    assert cache.found(ids) == 0
    cache.keep(ids)
    assert cache.found(ids) == 96
    assert cache.found(ids[:96]) == 80  # the last token is always prefilled
    assert cache.found([7, *ids[1:]]) == 0
    assert cache.found([*ids[:40], *range(50)]) == 32


async def test_prefixes_cost_no_more_than_the_floor_and_a_block_each(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    size = benchmark.Size(1, 4, 512, 4)
    tokenizer = benchmark.train_tokenizer(random.Random(0))
    assert await benchmark.simulate(tokenizer, size) in (0, 1)
    figure = float(capsys.readouterr().out.splitlines()[-1].split(": ")[1].split()[0])
    assert 0.95 < figure <= 1.05


async def test_a_real_server_is_asked_both_ways_and_its_own_counts_are_shown(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = benchmark.PrefixCache()

    async def counting(request: web.Request, call: int) -> web.StreamResponse:
        words = [hash(word) for turn in (await request.json())["messages"] for word in turn["content"].split()]
        usage = {
            "prompt_tokens": len(words),
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": cache.found(words)},
        }
        cache.keep(words)
        return web.json_response({**completion("Score: 3"), "usage": usage})

    async with serving(counting) as server:
        size = benchmark.Size(1, 2, 256, 4)
        tokenizer = benchmark.train_tokenizer(random.Random(0))
        config = benchmark.judge_config(server.url, "m", 4)
        assert await benchmark.measure(tokenizer, size, config, os.getpid()) == 0
        assert len(server.bodies) == 16
    naive, exprl, last = capsys.readouterr().out.splitlines()[-3:]
    assert naive.split()[:3] == ["naive", "8", "0"]
    assert exprl.split()[:3] == ["exprl", "8", "0"]
    assert int(exprl.split()[4]) > int(naive.split()[4])
    assert last.startswith("ok: ")


@pytest.mark.slow
def test_the_goal_is_met_at_full_size() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
