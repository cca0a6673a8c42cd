"""Errors a user can cause or must act on, one class per exit code.

AiexpError
|-- ConfigError      2    command line, keys, values, unknown names
|-- DataError        3    missing, damaged or unusable data and weights
|-- CheckpointError  4    checkpoints and resuming; OtherFormatError: written by another aiexp
|-- HardwareError    5    device, precision, environment, required services
|-- DivergedError    6    non-finite loss or gradient
|-- MemoryFullError  7    out of memory
|-- StorageError     8    full, read-only or locked output
|-- SweepError       9    a sweep ended with failed jobs
|-- SecurityError    10   refused: a target, file or path outside the allow-list
`-- Stopped          130, 143   Ctrl-C or SIGTERM, after a checkpoint

Whatever else is raised is a bug of ours: exit code 1, traceback kept in the run directory.
"""

import difflib
from collections.abc import Iterable

LONGEST_WORD = 1000
TYPED = "command line: "  # begins a `where` that is a word of it


class AiexpError(Exception):
    """A problem with one clear line for the user; never shown with a traceback.

    Args:
        what: What is wrong, in one sentence, naming the value.
        where: The key, file or both: "trainer.steps", "conf/model/mine.yaml: model.width".
        fix: What to type or change, or what is allowed.
        options: Names that `fix` ends with; of many of them a terminal shows the nearest.
        see: The command that shows them all.
    """

    exit_code = 1
    kind = "bug"
    is_quoted = False  # its lines stand as they are on a terminal, too

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", options: Iterable[str] = (), see: str = ""
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.fix, self.options, self.see = what, where, fix, tuple(options), see

    def line(self) -> str:
        """`error[kind]: what | where | fix: ...` on one line."""
        fix = " ".join([self.fix, *self.options]).strip()
        parts = [self.what.rstrip(), self.where, f"fix: {fix}" if fix else ""]
        return f"error[{self.kind}]: " + " | ".join(" ".join(map(_cut, p.split())) for p in parts if p)

    def problems(self) -> "list[AiexpError]":
        """Every problem that this error carries."""
        return [self]

    def lines(self) -> list[str]:
        """One line for each problem, in the order found."""
        return [problem.line() for problem in self.problems()]

    def __str__(self) -> str:
        return self.line()


class ConfigError(AiexpError):
    """The command line or a YAML file asks for something that does not exist or has the wrong type.

    Cure: type what the line ends with; `aiexp run --cfg job` shows every key, `aiexp list GROUP` every
    option. Nothing has started.
    """

    exit_code, kind = 2, "config"


class ConfigErrors(ConfigError):
    """Several config problems found in one pass, shown all at once."""

    def __init__(self, errors: list[AiexpError]) -> None:
        super().__init__("; ".join(e.what for e in errors))
        self.errors = errors
        # A refusal for security is the more serious answer when both kinds are present.
        self.exit_code = max((e.exit_code for e in errors), default=2)

    def problems(self) -> list[AiexpError]:
        """Those found, in order."""
        return [problem for error in self.errors for problem in error.problems()]


class DataError(AiexpError):
    """Data or weights are missing, damaged, unreachable or unusable.

    Cure: the line names the file and row, or the source. `aiexp data list` says what is in the cache and
    where the rest comes from, `aiexp data fetch NAME` gets it, `aiexp doctor` tries the network.
    """

    exit_code, kind = 3, "data"


class CheckpointError(AiexpError):
    """A checkpoint or run directory cannot be resumed.

    Cure: `aiexp doctor RUN` says what of a run is whole. A damaged checkpoint is passed over by itself, so
    this means that none is left, or that a file beside them was changed.
    """

    exit_code, kind = 4, "checkpoint"


class OtherFormatError(CheckpointError):
    """A checkpoint or run directory of a newer or an older aiexp: nothing is wrong with it."""


class HardwareError(AiexpError):
    """The machine or a required service lacks what the config asks for.

    Cure: `aiexp doctor` says what there is: devices, memory, packages, services. `hardware.device=auto`
    takes what is there.
    """

    exit_code, kind = 5, "hardware"


class DivergedError(AiexpError):
    """The loss or a gradient is not finite; training stopped before the update.

    Cure: a lower learning rate, `trainer.clip=1.0`, a warm-up, or `hardware.precision=fp32`; then go on
    from the last checkpoint with `aiexp branch`.
    """

    exit_code, kind = 6, "diverged"


class MemoryFullError(AiexpError):
    """The device or the host ran out of memory.

    Cure: `dataset.batch_size` halved and `trainer.accumulate` doubled make the same updates, but for batch
    norm, in less memory; `aiexp check` says what a run takes.
    """

    exit_code, kind = 7, "memory"


class StorageError(AiexpError):
    """The output folder is full, read-only or in use by another process.

    Cure: make room (`aiexp runs prune` lists old checkpoints), or choose another folder with `outputs=DIR`;
    `aiexp resume` goes on from the last checkpoint.
    """

    exit_code, kind = 8, "storage"


class SweepError(AiexpError):
    """A sweep finished, with failed jobs.

    Cure: the lines above name each failed job and its log. `aiexp resume SWEEP` runs again what failed and
    nothing else.
    """

    exit_code, kind = 9, "sweep"


class SecurityError(AiexpError):
    """Refused before anything ran: a target, resolver, file or path outside the allow-list.

    Cure: move your code below the working directory, or trust an installed package with `--trust PACKAGE`;
    see SECURITY.md for what is allowed and why.
    """

    exit_code, kind = 10, "security"


class Stopped(AiexpError):
    """The user or the system asked the run to stop; the work so far is saved.

    Cure: none is needed: `aiexp resume` goes on bit for bit.
    """

    kind, is_quoted = "stopped", True

    def __init__(self, what: str, *, exit_code: int, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.exit_code = exit_code

    def line(self) -> str:
        """`stopped ...; continue with: ...`: what was asked for is no error."""
        return f"{self.what}; continue with: {self.fix}" if self.fix else self.what


def _cut(word: str) -> str:
    """A word, or the ends of one that would bury what is said."""
    return word if len(word) <= LONGEST_WORD else f"{word[:80]}...{word[-40:]} ({len(word)} characters)"


def reason_of(error: BaseException) -> str:
    """What an exception of somebody else's says, on one line of at most 200 characters."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    return " ".join(str(error).split())[:200] or type(error).__name__


def nearest(word: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the option closest to `word`, or an empty string.

    Dotted names also match on their last part, so `trainer.stpes` finds `trainer.steps`.
    """
    leaf, options = _leaf(word), list(dict.fromkeys(options))
    hits = [
        option
        for option in difflib.get_close_matches(word, options, n=5, cutoff=0.6)
        if difflib.SequenceMatcher(None, leaf, _leaf(option)).ratio() >= 0.6  # not for a common beginning
    ]
    if not hits:
        leaves = {_leaf(option): option for option in options}
        hits = [leaves[hit] for hit in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.75)]
    return f" Did you mean '{hits[0]}'?" if hits else ""


def _leaf(name: str) -> str:
    """The last part of a dotted name; a flag without its dashes."""
    return name.rpartition(".")[2].lstrip("-")
