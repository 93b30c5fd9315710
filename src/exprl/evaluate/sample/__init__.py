"""Samples from a policy, outside training: who draws them, in which order, and whether they are right.

    plan   the `Sampler` protocol, the order of draws, and their seeds
    local  `LocalSampler`, a transformers model in this process (torch is imported on first use)
    http   `HTTPSampler`, any OpenAI-compatible chat endpoint
    grade  rows of samples.jsonl, drawn, graded and resumable

>>> from exprl.evaluate.sample import HTTPSampler
>>> sampler = HTTPSampler("http://127.0.0.1:8000/v1", "Qwen/Qwen3-4B-Instruct-2507", PromptConfig())  # doctest: +SKIP
"""

from exprl.evaluate.sample.grade import SampleRow, count_correct, grade
from exprl.evaluate.sample.http import HTTPSampler
from exprl.evaluate.sample.local import LocalSampler
from exprl.evaluate.sample.plan import Draw, Sampler, chunks, derive_seed, draws

__all__ = [
    "Draw",
    "HTTPSampler",
    "LocalSampler",
    "SampleRow",
    "Sampler",
    "chunks",
    "count_correct",
    "derive_seed",
    "draws",
    "grade",
]
