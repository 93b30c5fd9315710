r"""What goes into a sandbox and what comes out: source, calls, limits, and plain data.

A program is Python source that runs as `__main__`, perhaps followed by calls of functions that it defined. What comes
back is data and nothing else: text that it printed, and values reduced to exact builtin types. Expected values are no
part of a program: comparison happens where the candidate never was.

    Program("def f(x):\n    return x + 1\n", calls=(Call("f", (1,)),))   ->   Result("ok", "", (Returned(2),), "")

A sandbox that runs elsewhere (another machine, a service) implements `Sandbox`; none is bundled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

__all__ = ["Call", "Limits", "Plain", "Program", "Result", "Returned", "Sandbox", "Status"]

Plain: TypeAlias = (
    "bool | int | float | complex | str | bytes | list[Plain] | tuple[Plain, ...] | dict[Plain, Plain]"
    " | set[Plain] | frozenset[Plain] | None"
)
"""Data without behaviour: exactly these types, never a subclass. Depth at most `inside.plain.DEPTH`."""

Status = Literal["ok", "error", "timeout", "memory", "output", "killed"]
"""`ok`: ran to its end and answered every call (some perhaps by an exception). `error`: an exception or an early exit.
`killed`: a signal, or an answer that was not asked for. The others name the limit that was reached."""


class Call(NamedTuple):
    """One call, made after the source has run."""

    function: str  # a name that the source defines, perhaps dotted
    arguments: tuple[Plain, ...] = ()


class Program(NamedTuple):
    """Untrusted source and what to ask of it."""

    source: str
    stdin: str = ""
    calls: tuple[Call, ...] = ()


class Limits(NamedTuple):
    """What one run may use. Above each of them the run ends and says which."""

    wall: float = 6.0  # seconds, for the source and all calls together
    cpu: float = 4.0  # seconds
    memory: int = 512 << 20  # bytes of address space of a process, the interpreter's own included
    output: int = 1 << 20  # bytes of standard output, and as many again of answers
    processes: int = 1  # 1 forbids fork; threads are always allowed, up to `inside.limits.THREADS`


class Returned(NamedTuple):
    """The answer to one call: a value, or the name of what was raised (or of the status that ended the run)."""

    value: Plain = None
    error: str | None = None


class Result(NamedTuple):
    """What a run gave. `returned` has one entry a call, in order, whatever the status."""

    status: Status
    stdout: str
    returned: tuple[Returned, ...]
    reason: str  # an exception's name or a fixed phrase; never text that the candidate wrote


class Sandbox(Protocol):
    """A place where untrusted programs run."""

    def run(self, program: Program, limits: Limits = ...) -> Result:
        """Run one program.

        Raises:
            SandboxError: the sandbox itself failed. Nothing that a program does on its own is an exception.
        """
        ...

    def run_many(self, programs: Sequence[Program], limits: Limits = ...) -> list[Result]:
        """Run a batch, on all workers; results in order."""
        ...

    def close(self) -> None:
        """Stop every worker. A closed sandbox may be used again; it then starts anew."""
        ...
