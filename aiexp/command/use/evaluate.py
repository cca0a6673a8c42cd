"""`aiexp evaluate RUN... [KEY=VALUE]`: how good trained tasks are: again, on other data, together."""

import os
from pathlib import Path

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.errors import CheckpointError
from aiexp.rundir.assigned import is_path
from aiexp.text.terminal import out, out_lines, say

HELP = """\
usage: aiexp evaluate RUN... [KEY=VALUE ...] [flags]

The evaluation of a run's task again, by its best checkpoint: metrics, tables
and pictures; of classifiers also whether they are right as often as they say
(calibration). KEY=VALUE names other data or hardware. Several runs of
classifiers are also evaluated together, by the means of their probabilities.

  aiexp evaluate outputs/latest
  aiexp evaluate outputs/latest dataset=tweets
  aiexp evaluate outputs/latest --step 0             (before training)
  aiexp evaluate outputs/mnist_cnn/2026-*            (an ensemble)
  aiexp evaluate outputs/latest --by class
"""
FLAGS = Flags(
    "evaluate",
    Flag("--split", "of the data; test is the default", choices=("test", "eval", "train")),
    Flag("--step", "of the checkpoint; 0: untrained; default: the best", value="N"),
    Flag("--by", "also group by group: a column of the table of the data, or class", value="COLUMN"),
    Flag("--out", "the folder; default: one in evaluations/ of the (first) run", value="DIR"),
    TRUST,
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Evaluates; returns 0."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("evaluate")
    paths = [Path(word) for word in words if is_path(word)]
    if not paths:
        raise CheckpointError("which run?", where="aiexp evaluate", fix="aiexp evaluate outputs/latest ...")
    step = whole(flags, "step", 0)
    from aiexp.command.use.bar import bar
    from aiexp.use.evaluating.evaluating import Request, evaluate_runs
    from aiexp.use.evaluating.shown import shown
    from aiexp.use.evaluating.written import write_outcome

    request = Request(
        split=flags.get("split", "test"),
        step=step,
        by=flags.get("by", ""),
        words=[word for word in words if not is_path(word)],
    )
    with bar() as progress:
        outcome = evaluate_runs(paths, request, say, progress)
    out_lines(f"{shown(outcome)}\n")
    folder = write_outcome(outcome, Path(flags["out"]) if "out" in flags else None)
    out(f"written  {os.path.relpath(folder)}")
    return 0
