"""`aiexp run`: reads the flags, composes and checks, then runs a job, a sweep, or only prints the config."""

import gc

from aiexp.command.flags import CONFIG_DIR, TRUST, Flag, Flags
from aiexp.config.folders import GROUPS
from aiexp.errors import ConfigError
from aiexp.text.terminal import say

HELP = """\
usage: aiexp run [GROUP=OPTION | KEY=VALUE] ... [flags, anywhere]

Composes one file of each group, checks it, trains, and leaves a run directory
in outputs/. A task brings its own model, data set and trainer.

  aiexp run                                 the default task
  aiexp run task=bert_finetune model=minilm choose by name
  aiexp run trainer.epochs=1 seed=1         change a value
  aiexp show task=mnist_cnn                 every key, what it means, its value
  aiexp run -m task.optimizer.lr=1e-4,3e-4 seed=0,1,2
                                            six runs, in one sweep directory

choose a group's option: GROUP=OPTION (`aiexp list GROUP` explains each)
{groups}

change a value: KEY=VALUE
  trainer.epochs=1           a key that aiexp show says
  +task.new=1                an argument that the YAML file leaves out
  ~task.old                  leave an argument out
  model.name=null            null, true, 3, 1e-4, text, [a,b], '{k: v}'
  'model.name="a b"'         text with spaces, commas or brackets

a sweep, -m: KEY=VALUE,VALUE,...  or range(0,5), choice(a,b), glob(*)
  All values are checked before the first job starts; a job that fails does
  not stop the others; exit code 9 then.

flags
{flags}

your own: a file conf/task/mine.yaml here adds task=mine; `_target_:` in it may
name a class of a Python file here (my_lab.tasks.Mine). No fork, no install.
exit codes: 0 ok, 2 config, 3 data, 4 checkpoint, 5 hardware, 6 diverged,
7 memory, 8 storage, 9 jobs of a sweep failed, 10 refused, 1 bug
"""
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_ONE_PRIMARY = "aiexp has one primary file; write a file in conf/task and choose it with task=NAME"
INSTEAD = {
    "--config-name": _ONE_PRIMARY,
    "-cn": _ONE_PRIMARY,
    "--config-path": "use --config-dir DIR or AIEXP_CONF=DIR",
    "-cp": "use --config-dir DIR or AIEXP_CONF=DIR",
    "--experimental-rerun": "use aiexp resume RUN",
    "--run": "leave it out; without -m it is one run",
    "-r": "leave it out; without -m it is one run",
    "--shell-completion": "use aiexp completion bash",
    "-sc": "use aiexp completion bash",
    **{f"--{group}": f"type {group}=NAME, without dashes" for group in GROUPS},
    **dict.fromkeys(("--gpus", "--devices", "--num-gpus"), "type hardware.devices=N"),
    **dict.fromkeys(
        ("--seed", "--epochs", "--lr", "--batch-size"), "keys have no dashes: aiexp show says them"
    ),
}
FLAGS = Flags(
    "run",
    Flag("--multirun", "run the sweep", short="-m"),
    Flag("--resume", "with -m: go on with the newest sweep of this command"),
    Flag("--cfg", "print the config instead of running it", short="-c", choices=("job", "hydra", "all")),
    Flag("--resolve", "with --cfg: ${...} filled in"),
    Flag("--package", "with --cfg: only this part", short="-p", value="KEY"),
    Flag(
        "--info", f"as Hydra sees it: {', '.join(_INFO)}", "-i", value="WHAT", choices=_INFO, otherwise="all"
    ),
    CONFIG_DIR,
    TRUST,
    Flag("--hydra-help", "Hydra's own settings"),
    instead=INSTEAD,
)


def main(argv: list[str]) -> int:
    """Runs what `argv` asks for; returns the exit code."""
    words, flags = FLAGS.parse(argv)
    config_dir = flags.get("config-dir")
    # Composing makes many small objects that live on; the collector would go through them again and again.
    gc.disable()
    if "hydra-help" in flags or "info" in flags:
        from aiexp.command.cfg import show_hydra

        return show_hydra(flags, words)
    if "cfg" in flags:
        from aiexp.command.cfg import show_config

        return show_config(flags, words)
    if "multirun" in flags:
        from aiexp.sweep.sweep import sweep

        return sweep(words, config_dir=config_dir, resume="resume" in flags)
    if "resume" in flags:
        fix = "type aiexp resume RUN, or add -m for a sweep"
        raise ConfigError("--resume goes with -m", where="command line", fix=fix)
    return _run_one(words, config_dir)


def _run_one(overrides: list[str], config_dir: str | None) -> int:
    """Composes and runs one job."""
    from aiexp.config.compose import compose, shadow_notes
    from aiexp.config.folders import conf_dirs

    composed = compose(overrides, config_dir=config_dir)
    for note in shadow_notes(composed, conf_dirs(config_dir)):
        say(f"note: {note}")
    # The collector works again, for what is made from now on.
    gc.freeze()
    gc.enable()
    from aiexp.run import run

    return run(composed, None)
