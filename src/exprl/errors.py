"""One tree of errors, so that a caller can catch as much or as little as it means to.

    ExprlError
    ├── ConfigError        a key or value that the configuration does not know, or a plan that contradicts itself
    ├── DataError          a problem file, column or row that cannot be used (names file, line, column)
    │   └── OverlapError   an evaluation problem is also a training problem
    ├── RunError           a run directory that cannot be created, read or resumed
    │   └── CheckpointError  a path that is not a checkpoint, or a damaged one
    ├── JudgeError         a judge that cannot be built
    │   ├── UnscoredLimitError  too many rollouts without a score: the run pauses in a resumable state
    │   └── MonitorStopError    an alarm of the monitor that stops: the run pauses in a resumable state
    ├── VerifierError      a verifier that cannot be built or whose workers cannot be started
    │   └── SandboxError   a layer of isolation is missing, or the sandbox itself failed
    ├── LeakError          what an actor would have read holds text of its hidden reference
    ├── EngineError        the trainer cannot do what was asked (missing extra, unsupported combination)
    └── CoverageError      pass@k asked for with k > n or without samples

Every message says what is wrong, where, the value seen, and what to do next. No message ever holds the text of a
reference: `Reference` redacts itself, and code that opens one does not put it into an exception.
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "CoverageError",
    "DataError",
    "EngineError",
    "ExprlError",
    "JudgeError",
    "LeakError",
    "MonitorStopError",
    "OverlapError",
    "RunError",
    "SandboxError",
    "UnscoredLimitError",
    "VerifierError",
]


class ExprlError(Exception):
    """Base of every error that exprl raises on purpose."""


class ConfigError(ExprlError):
    """A configuration that cannot be run: unknown key, value out of range, contradiction."""


class DataError(ExprlError):
    """Problem data that cannot be used; the message names file, line, column and value."""


class OverlapError(DataError):
    """A problem stands both in the training set and in an evaluation set."""


class RunError(ExprlError):
    """A run directory that cannot be created, read or resumed."""


class CheckpointError(RunError):
    """A path given as a checkpoint that is not one, or is damaged."""


class JudgeError(ExprlError):
    """A judge that cannot be built or used as configured."""


class UnscoredLimitError(JudgeError):
    """More rollouts stayed unscored than the limit allows: the run pauses, and can be resumed."""


class MonitorStopError(JudgeError):
    """The reward no longer means what it should, by an alarm that stops: the run pauses, and can be resumed."""


class VerifierError(ExprlError):
    """A verifier that cannot be built or whose workers cannot be started."""


class SandboxError(VerifierError):
    """Untrusted code cannot be run safely: a layer of isolation is missing, or the sandbox itself failed."""


class LeakError(ExprlError):
    """Reference text was about to reach an actor; nothing was sent, and the message does not quote it."""


class EngineError(ExprlError):
    """The trainer cannot do what was asked."""


class CoverageError(ExprlError):
    """pass@k asked for with k > n, or without samples."""
