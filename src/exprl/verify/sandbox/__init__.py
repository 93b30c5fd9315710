r"""Untrusted programs, run where they can do no harm: a jail on Linux without a container engine.

    sandbox = open_sandbox(workers=2)
    sandbox.run(Program("def f(x):\n    return x + 1\n", calls=(Call("f", (1,)),)))  # Result("ok", "", (Returned(2),), "")

A server (`inside.server`) starts in about a tenth of a second as two processes: a supervisor outside the jail, which reads what
is to be run, and a zygote, which never does and forks a candidate for every run: alone in namespaces of its own, held by
Landlock, a seccomp allow-list, no_new_privs, no capabilities and rlimits; without environment, without descriptors but its
own four pipes and files, without /proc.

**Threat model.** The candidate is arbitrary code, native code included (ctypes is there to be used), written by an
optimiser that would rather be rewarded than right. What it must not be able to do, and how that is held:

- *Learn expected values.* They are in no process of the sandbox: it returns data and somebody else compares.
- *Claim results of calls that were not made.* Calls arrive one at a time, each after the answer to the one before; an
  early or a spare answer ends the run without any. It *can* answer a call that was made with any plain data it likes,
  by writing to the pipe instead of returning. That is what a function does; nothing is gained by it.
- *Forge a result.* The frame is written by the supervisor and signed with a nonce that only the supervisor reads, after
  the candidate's process existed, into memory that was never the candidate's. What it prints is text.
- *Reach or outlive anything.* Other runs, this process, files, network, the machine: see `layers`. All processes
  of a run end with it.
- *Cost more than its limits.* Wall, CPU, memory, output, processes; parsing its answers takes linear time.

What is **not** claimed: that the kernel has no bug (the allow-list keeps most of it out of reach); that timing and
caches leak nothing between processes; that memory of several processes is bounded together (it is a limit a process:
leave `processes` at 1 where that matters; its /tmp adds at most 64 MiB); that a candidate cannot tell it is being tested.

`strict` is every layer, each proved at start, or SandboxError with what to do. `weak` uses those that are there and
must be asked for by name: for code that you would run yourself.
"""

from __future__ import annotations

from typing import Literal

from exprl.errors import SandboxError
from exprl.verify.sandbox.jail import Jail
from exprl.verify.sandbox.layers import Layer, probe_layers
from exprl.verify.sandbox.program import Call, Limits, Plain, Program, Result, Returned, Sandbox, Status

__all__ = [
    "Call",
    "Layer",
    "Limits",
    "Plain",
    "Program",
    "Result",
    "Returned",
    "Sandbox",
    "Status",
    "open_sandbox",
    "probe_layers",
]


def open_sandbox(*, profile: Literal["strict", "weak"] = "strict", workers: int = 1) -> Sandbox:
    """A jail on this machine. Servers start with the first runs.

    Args:
        profile: `strict` for every layer; `weak` for those that this machine has.
        workers: runs at the same time at most.

    Raises:
        SandboxError: a layer is missing (strict), or this is not Linux.
    """
    layers = probe_layers()
    missing = [layer for layer in layers if not layer.present]
    if missing and (profile == "strict" or len(missing) == len(layers)):
        lines = [f"{layer.name}: {layer.detail}; {layer.remedy}" for layer in missing]
        raise SandboxError(
            f"the sandbox lacks {len(missing)} of {len(layers)} layers of isolation here:\n  "
            + "\n  ".join(lines)
            + "\nFor code that you would run yourself, the profile 'weak' uses the layers that are there."
        )
    return Jail(frozenset(layer.name for layer in layers if layer.present), workers)
