"""seccomp: the system calls that a candidate may make, as a BPF program that we assemble.

An allow-list. What is not on it fails with EPERM, which Python reports as PermissionError; calls made through another
machine's table (32-bit, x32) kill the process. `clone3` fails with ENOSYS, because its flags are out of a filter's
sight and the C library then falls back on `clone`, whose flags are looked at.

Not on the list, and so gone: sockets (but for an anonymous pair, which asyncio wakes itself with), exec, ptrace and
process_vm_*, mount and every namespace call, set*id, keyrings, bpf, perf, userfaultfd, io_uring, memfd, shared memory
and queues of System V and POSIX, personality, modules, chroot, quotas, swap, time setting, reboot.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import struct
from typing import NamedTuple

from .kernel import MACHINE, system_call

__all__ = ["GROUPS", "NUMBERS", "assemble", "filter_here", "restrict"]

_MACHINES = ("x86_64", "aarch64")
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}

# what each group is there for
GROUPS: dict[str, str] = {
    # open files, and files below what Landlock grants
    "files": "read write open close stat fstat lstat lseek pread64 pwrite64 readv writev access getdents getdents64 "
    "getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir creat link linkat unlink unlinkat symlink "
    "symlinkat readlink readlinkat chmod fchmod fchmodat umask truncate ftruncate fsync fdatasync flock fcntl dup dup2 "
    "dup3 pipe pipe2 openat newfstatat faccessat faccessat2 statx statfs fstatfs utimensat copy_file_range close_range",
    # the heap, thread stacks, and code of the interpreter's own extension modules
    "memory": "mmap munmap mprotect mremap brk madvise membarrier",
    # waiting: select, asyncio, locks, sleep
    "waiting": "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 futex nanosleep "
    "clock_nanosleep pause restart_syscall sched_yield recvfrom shutdown getsockname",
    # clocks and timers of its own
    "time": "gettimeofday time clock_gettime clock_getres times getitimer setitimer alarm",
    # signals: there is nobody else in the pid namespace to send one to
    "signals": "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack kill tgkill",
    # questions about itself
    "itself": "getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid "
    "getrlimit getrusage uname sysinfo getcpu sched_getaffinity sched_getparam sched_getscheduler getrandom",
    # the C library's start and end of threads and of the process
    "threads": "set_tid_address set_robust_list get_robust_list rseq arch_prctl exit exit_group wait4 waitid",
}

_TABLE = """
    read:0:63 write:1:64 open:2:- close:3:57 stat:4:- fstat:5:80 lstat:6:- poll:7:- lseek:8:62 mmap:9:222
    mprotect:10:226 munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 ioctl:16:29
    pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 access:21:- pipe:22:- select:23:- sched_yield:24:124
    mremap:25:216 madvise:28:233 dup:32:23 dup2:33:- pause:34:- nanosleep:35:101 getitimer:36:102 alarm:37:-
    setitimer:38:103 getpid:39:172 sendto:44:206 recvfrom:45:207 shutdown:48:210 getsockname:51:204 socketpair:53:199
    clone:56:220 fork:57:- vfork:58:- exit:60:93 wait4:61:260 kill:62:129 uname:63:160 fcntl:72:25 flock:73:32
    fsync:74:82 fdatasync:75:83 truncate:76:45 ftruncate:77:46 getdents:78:- getcwd:79:17 chdir:80:49 fchdir:81:50
    rename:82:- mkdir:83:- rmdir:84:- creat:85:- link:86:- unlink:87:- symlink:88:- readlink:89:- chmod:90:-
    fchmod:91:52 umask:95:166 gettimeofday:96:169 getrlimit:97:163 getrusage:98:165 sysinfo:99:179 times:100:153
    getuid:102:174 getgid:104:176 geteuid:107:175 getegid:108:177 getppid:110:173 getpgrp:111:- getgroups:115:158
    getresuid:118:148 getresgid:120:150 getpgid:121:155 getsid:124:156 sigaltstack:131:132 statfs:137:43
    fstatfs:138:44 sched_getparam:143:121 sched_getscheduler:145:120 arch_prctl:158:- gettid:186:178 time:201:-
    futex:202:98 sched_getaffinity:204:123 getdents64:217:61 set_tid_address:218:96 restart_syscall:219:128
    clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 exit_group:231:94 epoll_wait:232:-
    epoll_ctl:233:21 tgkill:234:131 waitid:247:95 openat:257:56 mkdirat:258:34 newfstatat:262:79 unlinkat:263:35
    renameat:264:38 linkat:265:37 symlinkat:266:36 readlinkat:267:78 fchmodat:268:53 faccessat:269:48 pselect6:270:72
    ppoll:271:73 set_robust_list:273:99 get_robust_list:274:100 utimensat:280:88 epoll_pwait:281:22 eventfd2:290:19
    epoll_create1:291:20 dup3:292:24 pipe2:293:59 prlimit64:302:261 getcpu:309:168 renameat2:316:276 getrandom:318:278
    membarrier:324:283 copy_file_range:326:285 statx:332:291 rseq:334:293 clone3:435:435 close_range:436:436
    faccessat2:439:439
"""

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    name: (int(x86) if x86 != "-" else None, int(arm) if arm != "-" else None)
    for name, x86, arm in (entry.split(":") for entry in _TABLE.split())
}
"""name: (number on x86_64, number on aarch64), None where the machine has no such call."""

_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_THREAD, _NEW = 0x10000, 0x7E020080  # CLONE_THREAD; every CLONE_NEW*
_TERMINAL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it one, its size; bytes waiting, blocking, cloexec


class _Check(NamedTuple):
    """One half of one argument, masked, against a value."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    high: bool = False


@functools.cache
def filter_here(fork: bool) -> bytes:
    """The program for this machine.

    Raises:
        OSError: there is none for such a machine.
    """
    if MACHINE not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {MACHINE}")
    return assemble(MACHINE, fork=fork)


def restrict(*, fork: bool) -> None:
    """Bind this process and its children to the list; `fork` puts processes on it (threads are there anyway)."""
    code = filter_here(fork)
    program = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(kept := ctypes.create_string_buffer(code)))
    system_call(_SECCOMP[MACHINE], 1, 0, program)
    del kept


def assemble(machine: str, *, fork: bool) -> bytes:
    """The BPF program for a machine: 8 bytes an instruction."""
    code = [_step(_LOAD, 4), _step(_EQUAL, _AUDIT[machine], 1, 0), _step(_RETURN, _KILL), _step(_LOAD, 0)]
    if machine == "x86_64":
        code += [_step(_AT_LEAST, 0x40000000, 0, 1), _step(_RETURN, _KILL)]
    for name in " ".join(GROUPS.values()).split():
        code += _allow(machine, name)
    for name, checks in _conditional(fork):
        code += _allow(machine, name, *checks)
    code += _allow(machine, "clone3", answer=_ENOSYS)
    return b"".join([*code, _step(_RETURN, _EPERM)])


def _conditional(fork: bool) -> list[tuple[str, tuple[_Check, ...]]]:
    no_namespace = _Check(0, 0, _NEW)
    rules = [
        ("clone", (no_namespace, _Check(0, _THREAD, _THREAD))),
        ("prlimit64", (_Check(0, 0),)),  # its own limits, which it can only lower
        ("socketpair", (_Check(0, 1),)),  # AF_UNIX
        ("sendto", (_Check(4, 0), _Check(4, 0, high=True))),  # to the other end, not to an address
        *(("ioctl", (_Check(1, request),)) for request in _TERMINAL),
    ]
    if fork:
        rules += [("clone", (no_namespace,)), ("fork", ()), ("vfork", ())]
    return rules


def _allow(machine: str, name: str, *checks: _Check, answer: int = _ALLOW) -> list[bytes]:
    number = NUMBERS[name][_MACHINES.index(machine)]
    if number is None:
        return []
    tail = [_step(_RETURN, answer)]
    for check in reversed(checks):
        offset = 16 + 8 * check.argument + 4 * check.high
        miss = len(tail)
        tail = [_step(_LOAD, offset), _step(_AND, check.mask), _step(_EQUAL, check.value, 0, miss), *tail]
    if checks:  # the accumulator holds an argument now: the next rule needs the number again
        tail.append(_step(_LOAD, 0))
        head = [_step(_EQUAL, number, 0, len(tail))]
        return [*head, *tail]
    return [_step(_EQUAL, number, 0, 1), *tail]


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
