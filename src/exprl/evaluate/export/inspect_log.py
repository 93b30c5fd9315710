"""A JSON log of Inspect (`inspect_ai.log`, version 2), as `inspect view` and `read_eval_log` read it.

A sample of the log is one answer: `id` the problem's, `epoch` the answer's number from 1, score `C` or `I`. An answer
without a verdict has no score, as Inspect has it, and is counted in `unscored_samples`; no target is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from exprl.evaluate.export.samples import REDACTED, Samples
from exprl.runs import write_json
from exprl.types import Question

__all__ = ["write_inspect"]

_Json = dict[str, object]


def write_inspect(samples: Samples) -> Path:
    """Write the log; its name holds the time of the last sample."""
    by_question = samples.rows()
    logged = [_sample(samples, one, row) for one in samples.questions for row in by_question[one.id]]
    time, identity = samples.time().isoformat(), _identity(samples)
    model = f"exprl/{samples.model}"
    log: _Json = {
        "version": 2,
        "status": "success",
        "eval": {
            "run_id": identity,
            "eval_id": identity,
            "created": time,
            "task": f"exprl/{samples.name}",
            "task_id": identity,
            "dataset": {
                "name": samples.name,
                "location": samples.origin,
                "samples": len(samples.questions),
                "sample_ids": [question.id for question in samples.questions],
                "shuffled": False,
            },
            "model": model,
            "config": {"epochs": samples.n},
            "model_generate_config": {
                "temperature": samples.temperature,
                "max_tokens": samples.max_tokens,
                "seed": samples.seed,
            },
        },
        "results": _results(samples, logged),
        "stats": {"started_at": time, "completed_at": time},
        "samples": logged,
    }
    path = samples.folder / f"{samples.time():%Y-%m-%dT%H-%M-%S}_{samples.name}.json"
    write_json(path, log)
    return path


def _results(samples: Samples, logged: list[_Json]) -> _Json:
    scored = sum(bool(sample["scores"]) for sample in logged)
    metrics: _Json = {}
    for name, found in samples.metrics.items():
        if name.startswith("pass@") and isinstance(found, Mapping) and found["value"] is not None:
            metrics[name] = {"name": name, "value": found["value"]}
            if found["se"] is not None:
                metrics[f"{name}_stderr"] = {"name": f"{name}_stderr", "value": found["se"]}
    return {
        "total_samples": len(logged),
        "completed_samples": len(logged),
        "scores": [
            {
                "name": "correct",
                "scorer": "exprl",
                "scored_samples": scored,
                "unscored_samples": len(logged) - scored,
                "metrics": metrics,
            }
        ],
    }


def _sample(samples: Samples, question: Question, row: _Json) -> _Json:
    asked = [dict(turn) for turn in samples.messages(question)]
    answer = {"role": "assistant", "content": row["text"], "source": "generate"}
    usage = {"input_tokens": 0, "output_tokens": row["tokens"], "total_tokens": row["tokens"]}
    verdict = row["correct"]
    scores = {} if verdict is None else {"correct": {"value": "C" if verdict == 1.0 else "I"}}
    return {
        "id": question.id,
        "epoch": int(str(row["sample"])) + 1,
        "input": asked,
        "target": REDACTED,
        "messages": [*asked, answer],
        "output": {
            "model": samples.model,
            "choices": [{"message": answer, "stop_reason": "max_tokens" if row["truncated"] else "stop"}],
            "usage": usage,
        },
        "scores": scores,
        "model_usage": {f"exprl/{samples.model}": usage},
    }


def _identity(samples: Samples) -> str:
    text = f"{samples.model}\0{samples.name}\0{samples.seed}\0{samples.time().isoformat()}"
    return hashlib.blake2b(text.encode(), digest_size=11).hexdigest()
