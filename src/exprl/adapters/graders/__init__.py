"""OpenAI's grader JSON, in and out: a grader that is written for their API runs here, and a rubric of ours runs there.

    run_grader        {"grader", "model_sample", "item"}  ->  {"reward", "sub_rewards", "metadata", ...}
    score_model_of    a rubric as a `score_model` grader

Run here are `string_check`, `score_model`, `label_model` and `multi`. Refused are `python` (no text is ever run) and
`text_similarity` (its metrics reward likeness, not truth).
"""

from exprl.adapters.graders.export import score_model_of
from exprl.adapters.graders.run import run_grader

__all__ = ["run_grader", "score_model_of"]
