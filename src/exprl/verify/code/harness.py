"""Python source that goes into the jail around a candidate, and around the tests that are programs themselves.

`calls_program`: the candidate's module (setup, then candidate, under a name of its own), and one call an expression. What it
gives is data; nothing of what is expected is in this jail.

`judging_program`: tests that are statements, in a jail where the candidate is not. Their `candidate` is a stub that answers
from calls made elsewhere. `judge` runs the asserts and says "passed", "failed", or "unknown" where they ask for a call that
has no answer yet. `explore` runs them leniently, with a value that agrees to everything in the place of each unknown answer,
and gives the calls that were asked for; they are then made in the candidate's jail, and judging starts anew.

    >>> calls_program("", "def f(x): return x", "f", ["candidate(1)"]).calls[0].function
    'answer_expression'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from exprl.verify.sandbox.program import Call, Plain, Program

__all__ = ["Answer", "Asked", "calls_program", "judging_program", "replay_program"]


class Asked(NamedTuple):
    """A call that a test asked for: positional and keyword arguments."""

    arguments: Plain
    keywords: Plain


class Answer(NamedTuple):
    """What the candidate gave to it: a value and its arguments afterwards, or the name of what it raised."""

    asked: Asked
    value: Plain
    after: Plain
    error: str | None


def calls_program(setup: str, candidate: str, entry: str, expressions: Sequence[str]) -> Program:
    """A program that evaluates expressions in which `candidate` is the function under test."""
    calls = tuple(Call("answer_expression", (expression,)) for expression in expressions)
    return Program(_loading(setup, candidate, entry), calls=calls)


def replay_program(setup: str, candidate: str, entry: str, asked: Sequence[Asked]) -> Program:
    """A program that makes the calls a test asked for; each gives [value, arguments afterwards]."""
    calls = tuple(Call("answer_call", (one.arguments, one.keywords)) for one in asked)
    return Program(_loading(setup, candidate, entry), calls=calls)


def judging_program(setup: str, code: str, answers: Sequence[Answer]) -> Program:
    """A program that runs tests against recorded answers: two calls, `judge` and `explore`."""
    known: Plain = [[*answer.asked, answer.value, answer.after, answer.error] for answer in answers]
    return Program(
        f"{_JUDGING}\n_load({setup!r}, {code!r})\n", calls=(Call("judge", (known,)), Call("explore", (known,)))
    )


def _loading(setup: str, candidate: str, entry: str) -> str:
    return f"{_CALLING}\n_load({setup!r}, {candidate!r}, {entry!r})\n"


_PREPARING = """
def _prepare(setup, space):
    # Tasks import by the dozen what few solutions use: a module that is not in the jail is left out, not the task.
    try:
        exec(compile(setup, "<setup>", "exec"), space)
    except ImportError:
        import ast
        for node in ast.parse(setup).body:
            try:
                exec(compile(ast.Module([node], []), "<setup>", "exec"), space)
            except ImportError:
                if not isinstance(node, (ast.Import, ast.ImportFrom)):
                    raise
"""

_CALLING = f"""
import math, sys, types
{_PREPARING}
_spaces = []

def _load(setup, program, entry):
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    _prepare(setup, module.__dict__)
    _spaces.extend(({{"math": math, "inf": math.inf, "nan": math.nan, **module.__dict__}}, module.__dict__, entry))
    exec(compile(program, "<solution>", "exec"), module.__dict__)

def _candidate():
    return eval(_spaces[2], _spaces[1])

def answer_expression(expression):
    return eval(expression, {{**_spaces[0], "candidate": _candidate()}})

def answer_call(arguments, keywords):
    value = _candidate()(*arguments, **keywords)
    return [value, arguments]
"""

_JUDGING = f"""
import ast, builtins, copy, math, random, sys
{_PREPARING}"""
_JUDGING += '''

_test = []

def _load(setup, code):
    _test.extend((setup, code))

class _Unknown(BaseException):
    pass

class _Anything:
    """Stands for an answer that is not known yet: agrees to everything, so that the test goes on."""
    def _same(self, *arguments, **keywords):
        return self
    def _true(self, *arguments):
        return True
    def __hash__(self):
        return 0
    def __iter__(self):
        return iter(())
    def __len__(self):
        return 0
    def __str__(self):
        return ""
    def __int__(self):
        return 0
    __index__ = __int__
    def __float__(self):
        return 0.0
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = _true
    __call__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _same
    __neg__ = __abs__ = __round__ = _same

def _is_known(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_known, value))
    if isinstance(value, dict):
        return all(_is_known(k) and _is_known(v) for k, v in value.items())
    return not isinstance(value, _Anything)

class _Lenient(ast.NodeTransformer):
    def visit_Assert(self, node):
        quiet = ast.ExceptHandler(type=ast.Name("Exception", ast.Load()), name=None, body=[ast.Pass()])
        return ast.Try(body=[ast.Expr(node.test)], handlers=[quiet], orelse=[], finalbody=[])

def _stub(known, missing):
    table = {repr((list(one[0]), one[1])): one for one in known}
    def candidate(*arguments, **keywords):
        one = table.get(repr((list(arguments), keywords)))
        if one is None:
            return missing(copy.deepcopy([list(arguments), keywords]))
        if one[4] is not None:
            kind = getattr(builtins, one[4], None)
            known = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, AssertionError)
            raise (kind if known else RuntimeError)
        for given, after in zip(arguments, one[3] or ()):
            _write_back(given, after)
        return copy.deepcopy(one[2])
    return candidate

def _write_back(given, after):
    if isinstance(given, list):
        given[:] = copy.deepcopy(after)
    elif isinstance(given, (dict, set)):
        given.clear()
        given.update(copy.deepcopy(after))

def _run(tree, candidate):
    random.seed(0)
    space = {"__name__": "tests", "math": math, "random": random, "copy": copy, "sys": sys, "inf": math.inf, "nan": math.nan}
    _prepare(_test[0], space)
    exec(compile(tree, "<tests>", "exec"), {**space, "candidate": candidate})

def judge(known):
    def missing(call):
        raise _Unknown
    try:
        _run(ast.parse(_test[1]), _stub(known, missing))
    except _Unknown:
        return "unknown"
    except Exception:
        return "failed"
    return "passed"

def explore(known):
    asked = {}
    def missing(call):
        if _is_known(call):
            asked.setdefault(repr(call), call)
        return _Anything()
    try:
        _run(ast.fix_missing_locations(_Lenient().visit(ast.parse(_test[1]))), _stub(known, missing))
    except Exception:
        pass
    return list(asked.values())
'''
