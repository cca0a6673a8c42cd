"""`aiexp compare`: which of many runs is better, and how sure that is. Imports no torch."""

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.command.comparing.question import QUESTION, question_of
from aiexp.command.flags import Flag, Flags
from aiexp.errors import ConfigError, DataError, nearest
from aiexp.rundir.named import named
from aiexp.text.terminal import out, out_lines

if TYPE_CHECKING:
    from aiexp.compare.comparison import Comparison
    from aiexp.rundir.record import RunRecord

HELP = """\
usage: aiexp compare [PATH ...] [flags]

Which of many runs is better, and how sure that is. PATH is a run, a sweep or
any folder above them (outputs, if left out). Runs with equal configs but for
the seed are a group; a group has the mean of its runs and the interval that
holds the true mean with 95 % confidence.

  aiexp compare outputs/bert_finetune
  aiexp compare outputs/bert_finetune --by lr --metric eval/accuracy
  aiexp compare outputs/mnist_cnn/2026-11-22_10-00-00_sweep_* --html
"""
_PAGE = "comparison.html"
FLAGS = Flags(
    "compare",
    *QUESTION,
    Flag(
        "--format",
        "how it is shown, in the terminal or a pipe",
        choices=("table", "md", "latex", "csv", "json", "html"),
    ),
    Flag("--html", "the page, into a file", value="FILE.html", otherwise=_PAGE, ending=".html"),
    Flag("--top", "so many groups in table, md and latex (25); 0 shows all", value="N"),
    Flag("--importance", "how much each key matters, also where it takes seconds"),
    Flag("--no-importance", "leave out how much each key matters"),
    Flag("--wandb", "runs of W&B instead of, or beside, those of folders", value="ENTITY/PROJECT[/GROUP]"),
    Flag(
        "--workspace",
        "save a view of the runs' group (a sweep's name) in W&B: curves, importance, run comparer",
        value="[ENTITY/PROJECT/]GROUP",
    ),
)


def main(argv: list[str]) -> int:
    """Prints the comparison of the runs named; returns 0."""
    words, flags = FLAGS.parse(argv)
    question, top = question_of(flags), _read_top(flags.get("top", "25"))
    importance = [flag == "importance" for flag in flags if flag in ("importance", "no-importance")][-1:]
    gc.disable()  # a thousand runs are many small objects that live to the end
    from aiexp.compare.compare import compare

    records = _records([named(word) for word in words], flags.get("wandb"))
    comparison = compare(
        records,
        by=question.by,
        metric=question.metric,
        direction=question.direction,
        importance=importance[0] if importance else None,
    )
    workspace, page = flags.get("workspace"), flags.get("html")
    if workspace is not None:
        from aiexp.compare.workspace import save_workspace

        out(save_workspace(workspace, comparison, records))
    if page is not None:
        _write_page(comparison, records, Path(page))
    elif workspace is None:
        out_lines(_text(comparison, records, flags.get("format", "table"), top))
    return 0


def _read_top(text: str) -> int:
    """How many groups to show."""
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"--top takes a number, not '{text}'", where="aiexp compare", fix="type --top 25")
    return int(text)


def _records(paths: list[Path], wandb: str | None) -> "list[RunRecord]":
    """The runs named, of folders and of W&B.

    Raises:
        DataError: a folder does not exist, or there are no runs in any.
    """
    from aiexp.rundir.record import find_runs

    paths = paths or ([] if wandb else [Path("outputs")])
    for path in paths:
        if not os.path.exists(path):
            siblings = [str(near) for near in path.parent.glob("[!.]*") if near.is_dir()]
            raise DataError(
                f"no such folder: {path}.{nearest(str(path), siblings)}", fix="aiexp runs lists the runs"
            )
    records = find_runs(paths, is_sealed=True)
    if wandb:
        from aiexp.compare.wandb_runs import fetch_runs

        records += fetch_runs(wandb)
    if not records:
        where = ", ".join(map(str, paths))
        raise DataError("no runs found", where=where, fix="aiexp run -m seed=0,1,2 makes three")
    return records


def _text(comparison: "Comparison", records: "list[RunRecord]", form: str, most: int) -> str:
    """The comparison in one of the formats."""
    from aiexp.compare.shown import text

    if form == "csv":
        return text.as_csv(comparison)
    if form == "json":
        return text.as_json(comparison)
    if form == "md":
        return text.as_markdown(comparison, most)
    if form == "latex":
        from aiexp.compare.shown.latex import as_latex

        return as_latex(comparison, most)
    if form == "html":
        from aiexp.compare.page import render

        return render(comparison, records)
    import shutil

    from aiexp.compare.shown.table import as_table

    return as_table(comparison, shutil.get_terminal_size().columns if sys.stdout.isatty() else None, most)


def _write_page(comparison: "Comparison", records: "list[RunRecord]", path: Path) -> None:
    """Writes the page and says where."""
    from aiexp.compare.page import render
    from aiexp.storage.files import storage_errors

    with storage_errors("writing the page", path):
        path.write_text(render(comparison, records), encoding="utf-8")
    out(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in any browser")
