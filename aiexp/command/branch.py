"""`aiexp branch RUN [--step K] [KEY=VALUE ...]`: a new run that goes on from a checkpoint of another one."""

from pathlib import Path

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.config.validate import validate
from aiexp.errors import ConfigError
from aiexp.rundir.assigned import assigned, one_path, refuse_masked
from aiexp.rundir.changes import changed_keys
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG
from aiexp.world.torchrun import is_torchrun

HELP = """\
usage: aiexp branch RUN [--step K] [KEY=VALUE ...] [flags]

Goes on from a checkpoint of a run as a new run beside it, with the whole state:
weights, optimizers, random numbers, place in the data. RUN is left as it is.
Without KEY=VALUE the new run is what RUN was from step K on, bit for bit.

KEY=VALUE changes what may change: length and schedule, settings of the
optimizer, dropout and other settings of the task that change no network,
tracker, hardware. The metrics begin with those of RUN until step K;
environment.json names RUN, and `branched` in comparisons and in W&B says what
was changed when.
  aiexp branch outputs/latest --step 500 task.optimizer.lr=1e-5
The checkpoints that there are lie in RUN/checkpoints.
"""
FLAGS = Flags(
    "branch",
    Flag("--step", "of the checkpoint to go on from; default: the newest", value="K"),
    TRUST,
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Trains the branch; returns its exit code.

    Raises:
        ConfigError: nothing would be other than in the run, or a key has changed that cannot.
    """
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("branch")
    path, typed = one_path(words, "aiexp branch")
    step = whole(flags, "step", 0)
    from aiexp.config.objects.build import build
    from aiexp.run import train
    from aiexp.rundir.code.own_code import own_code_of
    from aiexp.runs.branching import branch
    from aiexp.session.joined import join
    from aiexp.session.launcher import launch
    from aiexp.session.stop import StopSignal

    parent = RunDirectory.open(Path(path))
    with own_code_of(parent.path):
        old = validate(parent.read_config(), source=str(parent.path / CONFIG))
        new = assigned(old, typed, "aiexp branch")
        if step is None and not changed_keys(old, new):
            raise ConfigError(
                "nothing is changed: this would be a copy of the run",
                where=path,
                fix="KEY=VALUE changes something; --step K repeats the run from there; "
                f"aiexp resume {path} goes on with the run itself",
            )
        refuse_masked(new, str(parent.path / CONFIG), f"aiexp branch {path}")
        validate(new, source="aiexp branch")
        if is_torchrun():
            join(new, lambda: branch(parent, step, old, new, typed), train, [])
        hardware = build(new["hardware"])
        with StopSignal() as stop:
            child = branch(parent, step, old, new, typed)
            if hardware.devices > 1:
                return launch(child, new, hardware, stop, [])
            return train(child, new, hardware, stop, [])
