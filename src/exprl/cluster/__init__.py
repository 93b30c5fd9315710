"""What a run costs on many GPUs, before it is started: shapes, steps, memory, placement, and a simulation.

`planner` divides the GPUs and names the bottleneck; `step` and `memory` are the arithmetic, `shape` and `workload` its input,
`assumptions` all that is taken for granted; `simulate` plays one step event by event, to check the arithmetic.
"""

from exprl.cluster.assumptions import Assumptions, assume
from exprl.cluster.planner import ClusterPlan, StagePlan, plan_cluster, plan_configured

__all__ = ["Assumptions", "ClusterPlan", "StagePlan", "assume", "plan_cluster", "plan_configured"]
