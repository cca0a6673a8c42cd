"""`aiexp check [overrides] [-m]`: everything short of training, with a bill of what training would take."""

import json
import sys
from contextlib import redirect_stdout
from typing import Any

from aiexp.command.checking.bill import check, say
from aiexp.command.flags import CONFIG_DIR, TRUST, Flag, Flags
from aiexp.command.run import INSTEAD
from aiexp.config.compose import compose
from aiexp.config.objects.address import addresses
from aiexp.errors import ConfigError
from aiexp.text.terminal import out_lines

HELP = """\
usage: aiexp check [KEY=VALUE ...] [flags]

Composes the config, binds every constructor's arguments, builds everything,
and runs a few batches. Nothing is written. Prints parameters, memory, steps
and the estimated time. Takes the same overrides as aiexp run:
  aiexp check task=bert_finetune dataset.batch_size=64
With --resume it also saves after a few steps, builds everything again, loads,
and compares with going on; makes the final report of one batch; and names
whatever breaks the contract of tasks and data sets, one line each. Run it
once on a task of your own:
  aiexp check task=my_task --resume
With --find-lr it trains 100 steps on weights that it throws away, each with a
higher learning rate, and says at which the loss falls fastest.
With -m it lists every job of the sweep, composes each, and estimates the time
of each and of the whole:
  aiexp check -m task=mnist_cnn seed=0,1,2 task.optimizer.lr=1e-3,1e-2
"""
FLAGS = Flags(
    "check",
    Flag("--resume", "also compare a resumed run with one that goes on"),
    Flag("--find-lr", "also train with a rising learning rate and say where the loss falls fastest"),
    Flag("--multirun", "check every job of the sweep", short="-m"),
    Flag("--format", "json: the numbers, while the lines go to stderr", choices=("text", "json")),
    CONFIG_DIR,
    TRUST,
    instead=INSTEAD,
)


def main(argv: list[str]) -> int:
    """Prints the bill; returns 0 or raises what training would."""
    words, flags = FLAGS.parse(argv)
    if flags.get("format") != "json":
        _found(words, flags)
        return 0
    with redirect_stdout(sys.stderr):
        found = _found(words, flags)
    out_lines(json.dumps(found, indent=2))
    return 0


def _found(words: list[str], flags: dict[str, str]) -> dict[str, Any]:
    """Checks one config, or every job of a sweep; returns the numbers."""
    config_dir = flags.get("config-dir")
    if "multirun" in flags:
        if "find-lr" in flags:
            raise ConfigError("--find-lr looks at one job", where="command line", fix="leave out -m")
        from aiexp.command.checking.check_sweep import check_sweep_jobs

        return check_sweep_jobs(words, config_dir=config_dir)
    config = compose(words, config_dir=config_dir).config
    say("config", "valid: every key, type and target")
    with addresses(config):
        found = check(config, resume="resume" in flags).fields()
        if "find-lr" in flags:
            from aiexp.command.checking.rates import say_rates

            found["learning_rate"] = say_rates(config)
    return found
