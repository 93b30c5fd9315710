"""The command line: one file a command, imported when it is called.

`exprl --help` must stay quick, so nothing here imports numpy, torch or the pipeline; a command does so when it runs. Errors
that exprl raises on purpose, wrong usage and files that cannot be written are one line, `error: ...`, without a traceback,
and end with exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from exprl.errors import ExprlError

__all__ = ["app", "main"]

app = App(
    name="exprl",
    help="Prime a language model on problems it cannot yet solve, then amplify it.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says what is kept
)
_COMMANDS = {
    "run": "The whole experiment: filter, Stage I, Stage II, evaluation, report.",
    "filter": "The hard set: problems that the policy never solves.",
    "prime": "Stage I: dense judge rewards build coverage.",
    "amplify": "Stage II: sparse RL from the Stage-I checkpoints.",
    "sample": "Answers of a policy, graded, into a file.",
    "judge": "Verdicts on sampled answers.",
    "calibrate": "How far the judge can be trusted: its card, from labelled answers.",
    "attack": "How easily the judge is fooled: a suite of attacks.",
    "eval": "Coverage of one policy: pass@k with intervals.",
    "behave": "How a policy reasons, beside the base: behaviours gained and lost.",
    "report": "Summary and report of a run, made again from its files.",
    "serve": "Judge and rewards over HTTP, for actors that never hold a reference.",
    "overlap": "Evaluation problems that stand in the training data.",
    "cluster": "Many GPUs, planned: who gets how many, memory, time of a step, bottleneck.",
    "doctor": "Can this machine do the work, and is the judge there?",
}
for _order, (_name, _help) in enumerate(_COMMANDS.items()):
    app.command(f"exprl.cli.{_name}:{_name}_", name=_name, help=_help, sort_key=_order)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `exprl` script; ends the process."""
    try:
        app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except (ExprlError, CycloptsError) as error:
        _fail(error)
    except OSError as error:
        if error.filename is None:  # not about a file: a fault of ours, to be seen whole
            raise
        _fail(error)
    except KeyboardInterrupt:
        print("interrupted; finished work is kept: give the same command again (`run` with --resume)", file=sys.stderr)
        sys.exit(130)


def _fail(error: Exception) -> NoReturn:
    print("error:", " ".join(line.strip() for line in str(error).splitlines()), file=sys.stderr)
    sys.exit(2)
