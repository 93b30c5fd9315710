"""What a policy can do: samples from it, and coverage of them.

    coverage  pass@k by the unbiased estimator, with intervals
    sample    samples from a local model or an OpenAI-compatible server, graded, resumable (imported by name, for it
              brings an HTTP client)

>>> from exprl.evaluate import pass_at_k
>>> pass_at_k([64, 64], [0, 16], [1, 64]).tolist()
[[0.0, 0.0], [0.25, 1.0]]
"""

from exprl.evaluate.coverage import Counts, Coverage, coverage, default_ks, paired_difference, pass_at_k
from exprl.evaluate.intervals import Interval

__all__ = ["Counts", "Coverage", "Interval", "coverage", "default_ks", "paired_difference", "pass_at_k"]
