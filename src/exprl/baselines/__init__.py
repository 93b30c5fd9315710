"""The controls that the method is compared with, and that open the reference themselves.

    sft            supervised fine-tuning on the reference solutions; no rollouts, no judge
    self_distill   rollouts as ever; credit token by token from a teacher that is shown the reference
    teacher        the teacher's prompt (the evaluator's side) and its probabilities

ExpRL shows the reference to a judge alone; these two baselines learn from its tokens, or from a model that has read it. So
this is, beside `exprl.judge` and `exprl.verify`, the one place where `Reference.reveal` is called. What is opened goes into
tensors and nowhere else: no log, metric, rollout file or error holds it. (A policy that was fine-tuned on references may
recite them when it is sampled; that is the policy's own text.) Sparse RL, the third control, needs no reference and is an
ordinary method (`exprl.methods.sparse`).
"""

from exprl.baselines.self_distill import SelfDistillation, open_self_distillation
from exprl.baselines.sft import SftStage, train_sft

__all__ = ["SelfDistillation", "SftStage", "open_self_distillation", "train_sft"]
