"""The assembled filter, run by a small interpreter: what it answers on either machine."""

from __future__ import annotations

import struct

import pytest

from exprl.verify.sandbox.inside.seccomp import GROUPS, NUMBERS, assemble

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
THREAD = 0x3D0F00  # flags of pthread_create
FORK = 0x1200011


def answer(machine: str, number: int, *arguments: int, fork: bool = False, audit: int | None = None) -> int:
    """What the filter returns for a call."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", assemble(machine, fork=fork)))
    value = at = 0
    while True:
        code, true, false, constant = steps[at]
        at += 1
        if code == 0x20:
            [value] = struct.unpack_from("=I", data, constant)
        elif code == 0x54:
            value &= constant
        elif code in (0x15, 0x35):
            at += true if (value == constant if code == 0x15 else value >= constant) else false
        else:
            assert code == 0x06
            return int(constant)


def number(machine: str, name: str) -> int:
    found = NUMBERS[name][machine == "aarch64"]
    assert found is not None
    return found


machines = pytest.mark.parametrize("machine", AUDIT)


@machines
def test_what_is_listed_is_allowed_and_what_is_not_is_refused(machine: str) -> None:
    allowed = {NUMBERS[name][machine == "aarch64"] for name in " ".join(GROUPS.values()).split()} - {None}
    special = {
        NUMBERS[name][machine == "aarch64"]
        for name in ("clone", "clone3", "prlimit64", "socketpair", "sendto", "ioctl")
    }
    for call in range(500):
        if call not in special:
            assert answer(machine, call) == (ALLOW if call in allowed else EPERM), call


@machines
def test_threads_are_allowed_and_processes_only_when_asked_for(machine: str) -> None:
    clone = number(machine, "clone")
    assert answer(machine, clone, THREAD) == ALLOW
    assert answer(machine, clone, FORK) == EPERM
    assert answer(machine, clone, FORK, fork=True) == ALLOW
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, THREAD | flag, fork=True) == EPERM
    assert answer(machine, number(machine, "clone3"), fork=True) == ENOSYS


@machines
def test_pairs_are_allowed_but_no_address_can_be_sent_to(machine: str) -> None:
    assert answer(machine, number(machine, "socketpair"), 1) == ALLOW
    assert answer(machine, number(machine, "socketpair"), 2) == EPERM
    assert answer(machine, number(machine, "sendto"), 3, 4, 5) == ALLOW
    for address in (1, 1 << 32, 1 << 63):
        assert answer(machine, number(machine, "sendto"), 3, 4, 5, 0, address) == EPERM


@machines
def test_limits_of_others_and_terminal_tricks_are_refused(machine: str) -> None:
    assert answer(machine, number(machine, "prlimit64"), 0) == ALLOW
    assert answer(machine, number(machine, "prlimit64"), 7) == EPERM
    assert answer(machine, number(machine, "ioctl"), 1, 0x5401) == ALLOW
    assert answer(machine, number(machine, "ioctl"), 1, 0x5412) == EPERM  # TIOCSTI types into a terminal


@machines
def test_the_table_of_another_machine_kills(machine: str) -> None:
    assert answer(machine, 0, audit=0x40000003) == KILL


def test_x32_kills_on_x86() -> None:
    assert answer("x86_64", 0x40000000 + 39) == KILL
