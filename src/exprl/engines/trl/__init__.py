"""The engine on one machine: TRL's GRPO trainer with credit per segment.

    settings   our optimisation settings -> every option of TRL's loss, stated
    prompts    what the trainer sees of the problems, in the order of all its steps
    scoring    sampled ids -> verdicts and credit per token
    trainer    the subclass: advantages of shape (B, T), dropped rollouts
    saving     checkpoints renamed into place, and the final policy
    ledger     what is written of each step: metrics, rollouts, verdicts, unlocked problems
    train      one stage of one arm, from a policy path to a final checkpoint; resumable

Importing this package costs nothing; `train` imports torch.
"""
