"""Attacks on the sandbox, each with the proof that it works where there is none.

`SYSTEM`: source that ends without an error if it got what it wanted. `CHEATS`: source that makes a test pass which it
cannot solve, in a runner that compares in the candidate's own process.
"""

from __future__ import annotations

from typing import NamedTuple

from exprl.verify.sandbox import Limits

__all__ = ["CHEATS", "EXPECTED", "NAIVE", "SYSTEM", "Attack"]

EXPECTED = "expected-7f3a"

_LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def _call(*arguments: object) -> str:
    """A raw system call that has to succeed."""
    return f"{_LIBC}assert libc.syscall({', '.join(map(str, arguments))}) >= 0, ctypes.get_errno()"


class Attack(NamedTuple):
    """`bare`: its control is a plain process rather than a server without layers. `x86`: raw numbers of that machine."""

    source: str
    limits: Limits = Limits(wall=5.0, cpu=3.0)
    without: Limits = Limits(wall=20.0, cpu=20.0, memory=8 << 30, output=64 << 20, processes=64)
    bare: bool = False
    x86: bool = False
    root: bool = False  # its control needs privileges


# {pid}, {port}, {unix}, {abstract}, {folder}, {secret}, {descriptor}: of the process that runs the tests
SYSTEM: dict[str, Attack] = {
    # files
    "read /etc/passwd": Attack("open('/etc/passwd').read()"),
    "read a secret": Attack("assert open({secret!r}).read()"),
    "list the root": Attack("import os\nos.listdir('/')"),
    "read through a symlink": Attack(
        "import os, tempfile\nos.symlink('/etc/passwd', p := tempfile.mktemp())\ntry:\n    open(p).read()\n"
        "finally:\n    os.unlink(p)"
    ),
    "read by walking up": Attack("open('../' * 20 + 'etc/passwd').read()"),
    "hard link to a secret": Attack("import os\nos.link({secret!r}, {folder!r} + '/link')"),
    "write outside": Attack("open({folder!r} + '/written', 'w').write('x')"),
    "write to Python's library": Attack("import os\nopen(os.__file__, 'a').close()", root=True),
    "see site-packages": Attack("import glob, os\nassert glob.glob({site!r} + '/*')", bare=True),
    "make a device": Attack(
        "import os, stat, tempfile\np = tempfile.mktemp()\n"
        "os.mknod(p, 0o600 | stat.S_IFCHR, os.makedev(1, 3))\nos.unlink(p)",
        root=True,
    ),
    "a file by its handle": Attack(
        f"{_LIBC}b = ctypes.create_string_buffer(136)\nb[0] = 128\nm = ctypes.c_int()\n"
        "assert libc.name_to_handle_at(-100, b'/etc', b, ctypes.byref(m), 0) == 0"
    ),
    # other processes
    "parent's environment": Attack("assert open('/proc/{pid}/environ', 'rb').read()"),
    "parent's memory": Attack("assert open('/proc/{pid}/mem', 'rb')"),
    "other processes in /proc": Attack("import os\nassert len([n for n in os.listdir('/proc') if n.isdigit()]) > 1"),
    "own command line": Attack("assert open('/proc/self/cmdline').read()"),
    "own environment": Attack("import os\nassert os.environ", bare=True),
    "an inherited descriptor": Attack("import os\nos.fstat({descriptor})", bare=True),
    "a signal to the parent": Attack("import os\nos.kill({pid}, 0)"),
    "a signal to everybody": Attack("import os\nos.kill(-1, 0)"),
    "ptrace": Attack(f"{_LIBC}assert libc.ptrace(0, 0, 0, 0) == 0"),
    "process_vm_readv": Attack(
        f"{_LIBC}b = ctypes.create_string_buffer(1)\nv = (ctypes.c_void_p * 2)(ctypes.addressof(b), 1)\n"
        "assert libc.process_vm_readv(os.getpid(), v, 1, v, 1, 0) == 1"
    ),
    "pidfd_open": Attack(_call(434, "{pid}", 0)),
    # network
    "connect to a port": Attack("import socket\nsocket.socket().connect(('127.0.0.1', {port}))"),
    "send a datagram": Attack(
        "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"
    ),
    "connect to a unix socket": Attack("import socket\nsocket.socket(socket.AF_UNIX).connect({unix!r})"),
    "connect to an abstract socket": Attack("import socket\nsocket.socket(socket.AF_UNIX).connect({abstract!r})"),
    "datagram from a pair to an abstract socket": Attack(
        "import socket\nsocket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'x', {abstract!r} + 'd')"
    ),
    "netlink": Attack("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    # the kernel
    "mount": Attack(
        f"{_LIBC}import tempfile\nd = tempfile.mkdtemp().encode()\n"
        "assert libc.mount(b'tmpfs', d, b'tmpfs', 0, None) == 0\nlibc.umount(d)\nos.rmdir(d)",
        root=True,
    ),
    "a user namespace": Attack(f"{_LIBC}assert libc.unshare(0x10000000) == 0"),
    "a namespace by clone": Attack(
        f"{_LIBC}p = libc.syscall(56, 0x10000011, 0, 0, 0, 0)\nif p == 0:\n    os._exit(0)\nassert p > 0", x86=True
    ),
    "clone3": Attack(
        f"{_LIBC}a = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)\np = libc.syscall(435, a, 88)\n"
        "if p == 0:\n    os._exit(0)\nassert p > 0"
    ),
    "chroot": Attack("import os\nos.chroot('/')", root=True),
    "setuid": Attack("import os\nos.setuid(0)", root=True),
    "another user": Attack("import os\nos.setuid(12345)", root=True),
    "host name": Attack("import os, socket\nsocket.sethostname(socket.gethostname())", root=True),
    "priority": Attack("import os\nos.nice(-1)", root=True),
    "keyctl": Attack(_call(250, 0, -3, 1), x86=True),
    "bpf": Attack(
        f"{_LIBC}a = (ctypes.c_uint32 * 32)(2, 4, 4, 1)\nassert libc.syscall(321, 0, a, 128) >= 0, ctypes.get_errno()",
        x86=True,
        root=True,
    ),
    "userfaultfd": Attack(_call(323, 1), x86=True, root=True),
    "io_uring": Attack(f"{_LIBC}assert libc.syscall(425, 4, (ctypes.c_uint32 * 64)()) >= 0, ctypes.get_errno()"),
    "perf events": Attack(
        f"{_LIBC}a = (ctypes.c_uint32 * 32)(1, 128)\nassert libc.syscall(298, a, 0, -1, -1, 0) >= 0, ctypes.get_errno()",
        x86=True,
        root=True,
    ),
    "personality": Attack(f"{_LIBC}assert libc.personality(0xFFFFFFFF) >= 0"),
    "a memory file": Attack("import os\nos.memfd_create('x')"),
    "shared memory": Attack(f"{_LIBC}i = libc.shmget(0, 4096, 0o1600)\nassert i >= 0\nlibc.shmctl(i, 0, None)"),
    "a new program": Attack("import subprocess\nsubprocess.run(['/bin/true'], check=True)"),
    # resources
    "fork": Attack("import os\np = os.fork()\nif p == 0:\n    os._exit(0)\nos.waitpid(p, 0)"),
    "fork bomb": Attack(
        "import os, signal, time\np = []\ntry:\n    for _ in range(48):\n        p.append(os.fork())\n"
        "        if p[-1] == 0:\n            time.sleep(9)\n            os._exit(0)\n"
        "finally:\n    [os.kill(q, 9) for q in p]",
        Limits(wall=5.0, cpu=3.0, processes=4),
    ),
    "threads": Attack(
        "import threading\ne = threading.Event()\ntry:\n    for _ in range(48):\n"
        "        threading.Thread(target=e.wait, daemon=True).start()\nfinally:\n    e.set()"
    ),
    "memory flood": Attack("import mmap\nmmap.mmap(-1, 1 << 30)"),
    "memory in pieces": Attack("a = []\nfor _ in range(70):\n    a.append(bytes(8 << 20))"),
    "output flood": Attack("for _ in range(3000):\n    print('x' * 1000)"),
    "a large file": Attack(
        "import tempfile\nwith tempfile.TemporaryFile() as f:\n    f.write(bytes(20 << 20))\n    f.flush()"
    ),
    "many files": Attack(
        "import tempfile\nwith tempfile.TemporaryDirectory() as d:\n    for i in range(1100):\n"
        "        open(d + '/%d' % i, 'w').close()"
    ),
    "many descriptors": Attack("import os\nf = [os.dup(0) for _ in range(100)]"),
    "higher limits": Attack(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\nimport mmap\nmmap.mmap(-1, 1 << 30)"
    ),
    "busy for long": Attack(
        "import time\nwhile time.process_time() < 0.4:\n    pass", Limits(wall=9.0, cpu=0.2), Limits(60.0, 60.0)
    ),
    "asleep for long": Attack("import time\ntime.sleep(0.5)", Limits(wall=0.25), Limits(60.0, 60.0)),
}

NAIVE = """
import sys
TESTS = [((1,), {expected!r})]
{source}
def check():
    for arguments, expected in TESTS:
        if not all([f(*arguments) == expected]):
            return 1
    return 0
sys.exit(check())
"""
"""How many runners test: the expected value beside the candidate, the exit code as the verdict."""

_EQUAL = "    __eq__ = lambda self, other: True\n    __ne__ = lambda self, other: False\n    __hash__ = None\n"

CHEATS: dict[str, str] = {
    "an object equal to everything": f"class E:\n{_EQUAL}f = lambda x: E()",
    "an integer equal to everything": f"class E(int):\n{_EQUAL}f = lambda x: E(1)",
    "a string equal to everything": f"class E(str):\n{_EQUAL}f = lambda x: E('x')",
    "a list equal to everything": f"class E(list):\n{_EQUAL}f = lambda x: E()",
    "a class that lies about itself": f"class E:\n    __class__ = str\n{_EQUAL}f = lambda x: E()",
    "exit code at once": "import os\nos._exit(0)",
    "exit code in a call": "import os\ndef f(x):\n    os._exit(0)",
    "SystemExit in a call": "import sys\ndef f(x):\n    sys.exit(0)",
    "exit code at the end": "import atexit, os\natexit.register(os._exit, 0)\nf = lambda x: None",
    "patched exit": "import sys\nsys.exit = lambda code=0: None\nf = lambda x: None",
    "patched builtins": "import builtins\nbuiltins.all = lambda x: True\nf = lambda x: None",
    "caller's variables": "import sys\ndef f(x):\n    return sys._getframe(1).f_locals['expected']",
    "any frame's variables": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for v in list(frame.f_locals.values()):
            if isinstance(v, str) and v.startswith('expected-'):
                return v
        frame = frame.f_back
""",
    "frames of an exception": """
def f(x):
    try:
        1 / 0
    except Exception as e:
        return e.__traceback__.tb_frame.f_back.f_locals['expected']
""",
    "main module": "import sys\nf = lambda x: sys.modules['__main__'].TESTS[0][1]",
    "search of the garbage collector": """
import gc
def f(x):
    for o in gc.get_objects():
        for v in o if type(o) is tuple else ():
            if type(v) is str and v.startswith('expected-') and len(v) > 9:
                return v
""",
    "referrers": """
import gc
def f(x):
    for o in gc.get_referrers(f):
        if type(o) is dict and 'TESTS' in o:
            return o['TESTS'][0][1]
""",
    "constants of code": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for v in str(frame.f_code.co_consts).split("'"):
            if v.startswith('expected-') and len(v) > 9:
                return v
        frame = frame.f_back
""",
    "command line": """
import re
f = lambda x: re.search('expec[t]ed-[0-9a-f]+', open('/proc/self/cmdline').read())[0]
""",
    "own memory": """
import re
def f(x):
    memory = open('/proc/self/mem', 'rb', 0)
    for line in open('/proc/self/maps'):
        begin, end = (int(v, 16) for v in line.split()[0].split('-'))
        try:
            memory.seek(begin)
            found = re.search(b'expec[t]ed-[0-9a-f]+', memory.read(end - begin))
        except (OSError, OverflowError, ValueError):
            continue
        if found:
            return found[0].decode()
""",
    "tracing": """
import sys
def f(x):
    frame = sys._getframe(1)
    sys.settrace(lambda *_: None)
    frame.f_trace = lambda *_: None
    return frame.f_locals['expected']
""",
    "a forged frame": """
import json, os
frame = json.dumps({'status': 'ok', 'reason': '', 'stdout': '', 'answers': ['null', '"expected"']}).encode()
for n in range(1, 20):
    try:
        os.write(n, len(frame).to_bytes(4, 'big') + frame)
    except OSError:
        pass
os._exit(0)
""",
}
