"""`aiexp sweep FILE`: checks a W&B sweep file against the configs it would make, and registers it."""

from pathlib import Path

import yaml

from aiexp.command.flags import TRUST, Flag, Flags
from aiexp.command.help import lacks_words
from aiexp.errors import ConfigError
from aiexp.text.terminal import out_lines, say

HELP = """\
usage: aiexp sweep FILE.yaml [--dry-run]

Checks a W&B sweep file: every key and value of its parameters is composed as
the agents will type it, and the metric is looked for among those that an
evaluation returns. Then registers it, and prints what starts an agent. A
sweep on this machine needs no file: aiexp run -m, and hydra/sweeper=optuna
searches without a server.

  method: bayes
  metric: {name: eval/accuracy, goal: maximize}
  command: [aiexp, run, task=mnist_cnn, "${args_no_hyphens}"]
  parameters:
    task.optimizer.lr: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
    seed: {values: [0, 1, 2]}
"""
FLAGS = Flags("sweep", Flag("--dry-run", "only check"), TRUST)


def main(argv: list[str]) -> int:
    """Checks and registers; returns the exit code."""
    if not argv:
        return lacks_words("sweep")
    paths, flags = FLAGS.parse(argv)
    if len(paths) != 1:
        raise ConfigError(
            f"aiexp sweep takes one file, not {len(paths)}", where="command line", fix="aiexp sweep FILE.yaml"
        )
    from aiexp.sweep.wandb_file import read_sweep_file

    checked = read_sweep_file(Path(paths[0]))
    metric = checked.document.get("metric")
    if metric is not None:
        from aiexp.sweep.search.objective import check_metric

        check_metric(str(metric.get("name")), checked.first, where=f"{paths[0]}: metric.name")
    out_lines(yaml.safe_dump(checked.document, sort_keys=False, allow_unicode=True))
    if "dry-run" in flags:
        say("checked, not registered (--dry-run)")
        return 0
    from aiexp.tracker.wandb.registration import register_sweep

    say(f"registered; start agents with: wandb agent {register_sweep(checked.document)}")
    return 0
