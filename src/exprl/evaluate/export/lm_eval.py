"""The `samples_<task>_<time>.jsonl` of lm-evaluation-harness (`--log_samples`): one row a problem, all its answers in it.

`exact_match` is the mean over scored answers; a problem without any has no metric. `target` and its hash are of
`<redacted>`. The shape is that of `lm_eval.result_schema` (0.4.13).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from exprl.evaluate.export.samples import REDACTED, Samples
from exprl.runs import write_jsonl
from exprl.types import Question

__all__ = ["write_lm_eval"]

_Json = dict[str, object]


def write_lm_eval(samples: Samples) -> Path:
    """Write the file; its name holds the time of the last sample."""
    by_question = samples.rows()
    rows = [_row(samples, place, one, by_question[one.id]) for place, one in enumerate(samples.questions)]
    path = samples.folder / f"samples_{samples.name}_{samples.time():%Y-%m-%dT%H-%M-%S}.jsonl"
    write_jsonl(path, rows)
    return path


def _row(samples: Samples, place: int, question: Question, answers: Sequence[_Json]) -> _Json:
    prompt = json.dumps(samples.messages(question), ensure_ascii=False)
    doc: _Json = {"id": question.id, "problem": question.text}
    settings = {
        "until": [],
        "do_sample": samples.temperature > 0,
        "temperature": samples.temperature,
        "max_gen_toks": samples.max_tokens,
    }
    texts = [str(answer["text"]) for answer in answers]
    scored = [float(str(answer["correct"])) for answer in answers if answer["correct"] is not None]
    return {
        "doc_id": place,
        "doc": doc,
        "target": REDACTED,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
        "resps": [texts],
        "filtered_resps": [texts],
        "filter": "none",
        "metrics": ["exact_match"] if scored else [],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(REDACTED),
        **({"exact_match": sum(scored) / len(scored)} if scored else {}),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
