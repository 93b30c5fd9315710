"""What honest programs see of the sandbox, and what opening one promises."""

from __future__ import annotations

import time

import pytest

import exprl.verify.sandbox as sandbox_module
from exprl.errors import SandboxError, VerifierError
from exprl.verify.sandbox import Call, Layer, Limits, Program, Returned, Sandbox, open_sandbox, probe_layers
from exprl.verify.sandbox.jail import Jail
from exprl.verify.sandbox.layers import LAYERS


def test_a_program_reads_its_input_and_its_output_comes_back(jail: Sandbox) -> None:
    result = jail.run(
        Program("import sys\nprint(input()[::-1])\nsys.stdout.write(sys.stdin.read())", stdin="abc\nrest é")
    )
    assert (result.status, result.stdout, result.returned) == ("ok", "cba\nrest é", ())


def test_calls_are_answered_in_order_by_values_and_names_of_exceptions(jail: Sandbox) -> None:
    source = "from collections import Counter\nclass S:\n    def f(self, x):\n        return {x: 1 / x}\ng = S().f\nh = Counter"
    calls = (
        Call("g", (2,)),
        Call("g", (0,)),
        Call("missing"),
        Call("h", ("aab",)),
        Call("S"),
        Call("str.upper", ("x",)),
    )
    result = jail.run(Program(source, calls=calls))
    assert result.status == "ok"
    assert result.returned[:4] == (
        Returned({2: 0.5}),
        Returned(error="ZeroDivisionError"),
        Returned(error="KeyError"),
        Returned({"a": 2, "b": 1}),
    )
    assert result.returned[4] == Returned(error="TypeError")  # an object that is not data


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("raise ValueError('secret')", "error", "ValueError"),
        ("import sys\nsys.exit(0)", "ok", ""),
        ("import sys\nsys.exit(3)", "error", "SystemExit"),
        ("x = bytes(10**9)", "memory", "out of memory"),
        ("def", "error", "SyntaxError"),
        ("print('x' * 3_000_000)", "output", "too much output"),
        ("import threading\nthreading.Thread(target=lambda: print(1)).start()", "ok", ""),
        ("import asyncio\nasyncio.run(asyncio.sleep(0.01))", "ok", ""),
        ("open('/dev/null', 'w').write('x')", "ok", ""),
        ("open('notes', 'w').write('x')\nassert open('/tmp/notes').read() == 'x'", "ok", ""),
        ("import xml.dom, unittest, email.message, csv", "ok", ""),
        ("import sys\nsys.setrecursionlimit(10**5)\nf = lambda n: n and f(n - 1)\nf(50_000)", "ok", ""),
    ],
)
def test_statuses_say_what_happened_without_the_candidates_words(
    source: str, status: str, reason: str, jail: Sandbox
) -> None:
    result = jail.run(Program(source))
    assert (result.status, result.reason) == (status, reason)


def test_a_wall_limit_and_a_cpu_limit_end_a_run_in_time(jail: Sandbox) -> None:
    for source, limits in (("import time\ntime.sleep(99)", Limits(wall=0.2)), ("while True: pass", Limits(60.0, 0.2))):
        start = time.monotonic()
        assert jail.run(Program(source, calls=(Call("f"),)), limits).returned == (Returned(error="timeout"),)
        assert time.monotonic() - start < 30


def test_processes_may_be_asked_for_and_end_with_the_run(jail: Sandbox) -> None:
    source = "import os\nif os.fork() == 0:\n    while True: pass\nprint('parent')"
    start = time.monotonic()
    assert jail.run(Program(source), Limits(processes=4)).stdout == "parent\n"
    assert time.monotonic() - start < 30


def test_a_batch_comes_back_in_order(jail: Sandbox) -> None:
    results = jail.run_many([Program(f"print({n})") for n in range(20)])
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]


def test_large_arguments_and_answers_pass(jail: Sandbox) -> None:
    numbers = list(range(60_000))
    result = jail.run(Program("f = lambda x: x", calls=(Call("f", (numbers,)),)), Limits(output=4 << 20))
    assert result.returned[0].value == numbers


def test_a_closed_jail_starts_anew_and_a_killed_server_is_replaced() -> None:
    jail = Jail(frozenset())
    assert jail.run(Program("print(1)")).stdout == "1\n"
    jail.close()
    assert jail.run(Program("print(2)")).stdout == "2\n"
    server = jail._servers.get()
    assert server._child is not None
    server._child._process.kill()
    jail._servers.put(server)
    assert jail.run(Program("print(3)")).stdout == "3\n"
    jail.close()


def test_every_layer_is_proved_or_says_what_to_do() -> None:
    layers = probe_layers()
    assert {layer.name for layer in layers} == LAYERS
    for layer in layers:
        assert layer.remedy
        if layer.present:
            assert layer.detail == "works without it, refused with it"


def test_a_missing_layer_is_an_error_with_a_remedy_and_weak_must_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (Layer("landlock", False, "absent", "use a newer kernel"), Layer("limits", True, "", "raise them"))
    monkeypatch.setattr(sandbox_module, "probe_layers", lambda: layers)
    with pytest.raises(SandboxError, match="landlock: absent; use a newer kernel") as caught:
        open_sandbox()
    assert isinstance(caught.value, VerifierError)
    weak = open_sandbox(profile="weak")
    assert weak.run(Program("print(1)")).stdout == "1\n"
    weak.close()


def test_a_layer_that_cannot_be_entered_is_an_error_and_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exprl.verify.sandbox.jail._CODE", "raise SystemExit(1)")
    with pytest.raises(SandboxError, match="exprl doctor"):
        Jail(LAYERS).run(Program(""))


def test_a_candidate_holds_its_own_descriptors_and_nothing_of_the_environment(jail: Sandbox) -> None:
    source = """
import os, sys
def is_open(n):
    try:
        return bool(os.fstat(n))
    except OSError:
        return False
print([n for n in range(64) if is_open(n)], dict(os.environ), sys.argv, os.getpid(), os.getcwd())
"""
    assert jail.run(Program(source)).stdout == "[0, 1, 2, 3, 4] {} [''] 1 /tmp\n"
