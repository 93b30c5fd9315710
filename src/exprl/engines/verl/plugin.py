"""What verl loads by itself in every process that imports it: the target of the entry point `verl.plugins`.

    driver, task runner, trainers, agent-loop workers   `import verl` -> entry points -> this module -> registered

Importing it registers. Whether verl did so is looked at by `exprl.engines.verl.registration`, which does not import it.
"""

from __future__ import annotations

import os

from exprl.engines.verl import estimators
from exprl.engines.verl.registration import AGENT, CPU

__all__ = ["register"]


def register() -> None:
    """Tell verl our estimators and our agent loop; a second time changes nothing."""
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    estimators.register()
    # By name: a process that only trains need not import what judging takes.
    _agent_loop_registry[AGENT] = {"_target_": "exprl.engines.verl.loop.ExprlAgentLoop"}
    if os.environ.get("VERL_PLATFORM") == CPU:
        from exprl.engines.verl import cpu

        cpu.register()


register()
