"""The engine on a cluster: upstream verl 0.9.1 (Ray, FSDP or Megatron, vLLM or SGLang), not forked.

    plugin      what verl loads by itself (entry point `verl.plugins`), and the assertion that it did
    loop        one rollout: sampled, cut, judged and verified as soon as it is finished
    room        what a worker process holds for that: problems, judge, verifier, tokenizer
    marks       a rollout's verdict in verl's token-level rewards, and back                    (pure)
    credit      marks -> advantages, by the functions of `exprl.advantages`                    (pure)
    estimators  those, under names that verl's configuration can say
    older       the hook for verl's older trainer
    compose     our configuration -> verl's, as the overrides that it takes                    (pure)
    record      what the workers write of a step, and the run directory's rows made of it
    main        the process that verl runs in
    train       one stage of one arm, from a policy's path to a final checkpoint; resumable

Nothing privileged goes through verl: its dataset holds prompts and problem ids. A worker opens the problems' source itself,
judges there, and hands back numbers. What the judge said is written to the run directory, on the evaluator's side.

Importing this package costs nothing. `plugin`, `loop`, `estimators`, `older` and `main` need the `verl` extra.
"""
