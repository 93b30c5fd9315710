"""The candidate's process: jails itself, waits for the source, runs it, answers calls.

After the source has begun, nothing in this process can be trusted, this module included: the candidate may rewrite it.
It runs on references taken before, so that honest code which shadows or patches a builtin does not break it; against
dishonest code the process has nothing to protect. It writes answers to a pipe that the candidate may write to as well:
all that can be gained there is an answer of the candidate's choice to a call that was made, which it chooses anyway.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, NoReturn

from . import landlock, limits, seccomp
from .channel import pack, read_record
from .kernel import die_with_parent, drop_privileges, forbid_new_privileges
from .namespaces import enter_for_run, library
from .plain import decode, encode

__all__ = ["become_candidate"]

_STDIN, _STDOUT, _ASK, _ANSWER = 0, 1, 3, 4


def become_candidate(ends: tuple[int, int, int, int], layers: frozenset[str]) -> NoReturn:
    """Jail this process, then do what the supervisor says. `ends`: standard input and output, questions, answers."""
    die_with_parent()
    enter_for_run(layers)
    gc.enable()
    os.setsid()
    _keep_only(ends)
    if "privileges" in layers:
        drop_privileges()
    if layers & {"privileges", "landlock", "seccomp"}:
        forbid_new_privileges()
    if "landlock" in layers:
        # without a mount namespace /tmp is everybody's
        landlock.restrict(library(), ["/tmp"] if "mount" in layers else [], ["/dev/null"])
    header = _read(_ASK)
    memory, cpu, processes, output = header["limits"]
    if "limits" in layers:
        limits.apply(memory, cpu, processes)
    if "seccomp" in layers:
        seccomp.restrict(fork=processes > 1)
    _answer(header["source"], header["calls"], output)


def _keep_only(ends: tuple[int, int, int, int]) -> None:
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in ends]
    for end, place in zip(high, (_STDIN, _STDOUT, _ASK, _ANSWER), strict=True):
        os.dup2(end, place, inheritable=False)
    os.closerange(5, 1 << 20)


def _read(descriptor: int) -> Any:
    body = read_record(descriptor)
    if body is None:
        os._exit(0)
    return json.loads(body)


def _answer(source: str, calls: int, output: int) -> NoReturn:
    say, leave, read, restore = _sayer(output), os._exit, _read, decode
    names = _main_module()
    if not say(lambda: _run_source(source, names, last=calls == 0)):
        leave(1)
    for _ in range(calls):
        function, arguments = read(_ASK)
        say(lambda function=function, arguments=arguments: _call(names, function, restore(arguments)))  # type: ignore[misc]
    leave(0)


def _main_module() -> dict[str, Any]:
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    return main.__dict__


def _run_source(source: str, names: dict[str, Any], *, last: bool) -> None:
    try:
        exec(compile(source, "<program>", "exec"), names)  # noqa: S102 - what a jail is for
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    if last:  # what an interpreter does at its end
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()


def _call(names: dict[str, Any], function: str, arguments: tuple[Any, ...]) -> object:
    first, *rest = function.split(".")
    found = names[first]
    for name in rest:
        found = getattr(found, name)
    return found(*arguments)


def _sayer(output: int) -> Callable[[Callable[[], object]], bool]:
    """A function that makes a call and sends its value or the name of what it raised; true where there is a value."""
    write, frame, reduce, flush, stdout = os.write, pack, encode, sys.stdout.flush, sys.stdout
    base, kind, name_of, dumps = BaseException, type, type.__dict__["__name__"].__get__, json.JSONEncoder().encode

    def send(text: str) -> None:
        data = frame(text.encode())
        while data:
            data = data[write(_ANSWER, data) :]

    def say(make: Callable[[], object]) -> bool:
        try:
            text = reduce(make())
            if len(text) > output:
                raise ValueError("more than the output limit")
            if stdout is sys.stdout:
                flush()
        except base as error:
            send(dumps({"e": name_of(kind(error))[:64]}))
            return False
        send(text)
        return True

    return say
