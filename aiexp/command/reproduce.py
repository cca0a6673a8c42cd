"""`aiexp reproduce RUN [--steps N]`: the first steps of a run once more, its numbers compared bit for bit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.config.folders import shown
from aiexp.config.validate import validate
from aiexp.errors import CheckpointError, ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, ENVIRONMENT
from aiexp.text.terminal import out

if TYPE_CHECKING:
    from aiexp.runs.replay import Verdict

HELP = """\
usage: aiexp reproduce RUN [--steps N]

Trains the first steps of a run again, by its own config and as many processes,
and compares every number that it wrote (losses, gradients, evaluations; not
times) bit for bit.
Nothing is written. What else a result depends on is compared first and named:
commit and uncommitted changes, versions, the machine, data, and the weights
of the run that it started from. A branch is trained from its first checkpoint.
  aiexp reproduce outputs/latest
Prints "identical until step K"; the exit code is 0, or 4 where a number
differs.
"""
FLAGS = Flags(
    "reproduce",
    Flag("--steps", "how many; default: until the third line of metrics", value="N"),
    TRUST,
)  # fmt: skip
DIFFERS = CheckpointError.exit_code


def main(argv: list[str]) -> int:
    """Compares; returns the exit code."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("reproduce")
    if len(words) > 1:
        raise ConfigError(
            f"aiexp reproduce takes one run and no settings, not '{words[1]}'",
            fix=f"aiexp reproduce {words[0]}; with other settings it is aiexp branch",
        )
    steps = whole(flags, "steps", 1)
    from aiexp.rundir.code.own_code import own_code_of

    directory = RunDirectory.open(Path(words[0]))
    with own_code_of(directory.path):
        return say_verdict(*trained_again(directory, steps))


def trained_again(directory: RunDirectory, steps: int | None) -> "tuple[Verdict, int]":
    """What the comparison came to, and the last step that was compared."""
    from aiexp.rundir.then import code_lines, compared, version_lines
    from aiexp.runs.replay import Span, compare, recorded_lines, replay

    config = validate(directory.read_config(), source=str(directory.path / CONFIG))
    environment = directory.read_json(ENVIRONMENT)
    first = first_step(directory, environment)
    recorded = recorded_lines(directory, first or 0, steps)
    say("run", f"{shown(directory.path)}{resumed_with(environment, directory)}")
    for line in code_lines(directory):
        say("code", line)
    out(compared("versions", version_lines(directory)))
    span = Span(first=first, last=recorded[-1]["step"])
    return compare(recorded, replay(directory, config, span)), span.last


def first_step(directory: RunDirectory, environment: dict[str, Any]) -> int | None:
    """The step that a branch begins at; None of any other run.

    Raises:
        CheckpointError: its first checkpoint is gone.
    """
    from aiexp.rundir.weights import checkpoint_steps

    parent: dict[str, Any] = environment.get("parent") or {}
    if not parent:
        return None
    step = int(parent["step"])
    if step not in checkpoint_steps(directory):
        raise CheckpointError(
            f"the run branched off at step {step}, and its checkpoint of that step is gone",
            where=str(directory.path), fix=f"aiexp reproduce {parent['path']}, or branch off again",
        )  # fmt: skip
    return step


def resumed_with(environment: dict[str, Any], directory: RunDirectory) -> str:
    """What was changed when it was resumed, since its first steps were then trained without it."""
    command = list(environment.get("argv") or str(environment.get("command", "")).split())
    if environment.get("sweep") or environment.get("parent") or "run" not in command:
        return ""
    later = [word for word in directory.read_typed()[1] if word not in command]
    return (
        f" (resumed with {' '.join(later)}: its first steps may have been trained without)" if later else ""
    )


def say_verdict(verdict: "Verdict", last: int) -> int:
    """Says what the comparison came to; returns the exit code."""
    if not verdict.difference:
        say("result", f"identical until step {last}: {verdict.num_numbers} numbers, bit for bit")
        return 0
    until = "nothing is identical" if verdict.until is None else f"identical until step {verdict.until}"
    say("result", f"{until}; differs {verdict.difference}")
    return DIFFERS


def say(name: str, value: str) -> None:
    """One aligned line."""
    out(f"{name:<10}{value}")
