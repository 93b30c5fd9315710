"""Did verl load our plug-in, here and on every node?

verl logs a plug-in that fails to load at DEBUG, where nobody sees it, and goes on; a run would then die minutes later with an
unknown estimator. So the driver looks, and asks a fresh worker process on every node, before anything is spent. Nothing here
imports `exprl.engines.verl.plugin`, which registers when it is imported: the assertion would then hold by itself.

    >>> assert_here()  # doctest: +SKIP
"""

from __future__ import annotations

from exprl.errors import EngineError

__all__ = ["AGENT", "CPU", "ESTIMATORS", "LOSS", "RELEASE", "assert_everywhere", "assert_here", "missing"]

AGENT = "exprl"
"""Our agent loop's name."""
CPU = "exprl_cpu"
"""The platform and the policy server of a trial without a GPU (`exprl.engines.verl.cpu`)."""
ESTIMATORS = ("exprl_outcome", "exprl_process", "exprl_sparse", "exprl_self_distill")
LOSS = "exprl_self_distill"
"""The one policy loss of ours; the other methods use verl's."""
RELEASE = "0.9.1"
"""The one release of verl that this was tested with."""

_MEND = (
    "install exprl[verl] in that environment, and leave VERL_USE_EXTERNAL_PLUGINS unset or name exprl in it; "
    "`python -c 'import exprl.engines.verl.plugin'` says why it does not load"
)


def missing() -> list[str]:
    """What verl, imported, does not know in this process; empty where all is well."""
    import verl
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY

    wrong = [] if verl.__version__ == RELEASE else [f"verl {RELEASE} (it is {verl.__version__})"]
    wrong += [name for name in ESTIMATORS if name not in ADV_ESTIMATOR_REGISTRY]
    wrong += [] if LOSS in POLICY_LOSS_REGISTRY else [f"the policy loss {LOSS!r}"]
    return wrong + ([] if AGENT in _agent_loop_registry else [f"the agent loop {AGENT!r}"])


def assert_here() -> None:
    """Refuse to go on in a process where verl did not load us.

    Raises:
        EngineError: names what is missing and how to mend it.
    """
    if wrong := missing():
        raise EngineError(f"verl did not load exprl's plug-in in the driver; missing: {', '.join(wrong)}; {_MEND}")


def assert_everywhere() -> int:
    """Ask a fresh worker process on every living node of Ray; returns how many nodes were asked.

    Raises:
        EngineError: names the first node where something is missing, or where exprl cannot be imported at all.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [str(node["NodeID"]) for node in ray.nodes() if node["Alive"]]
    probe = ray.remote(missing)
    asked = [
        probe.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in nodes
    ]
    for node, answer in zip(nodes, asked, strict=True):
        try:
            wrong = ray.get(answer)
        except ray.exceptions.RayError as error:
            raise EngineError(f"node {node} cannot import exprl or verl ({str(error)[-300:]}); {_MEND}") from error
        if wrong:
            raise EngineError(f"verl did not load exprl's plug-in on node {node}; missing: {', '.join(wrong)}; {_MEND}")
    return len(nodes)
