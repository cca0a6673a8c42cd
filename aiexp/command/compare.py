"""`aiexp compare`: which of many runs is better, and how sure that is. Imports no torch."""

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aiexp.errors import ConfigError, DataError, nearest
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

  --by KEY            groups by this key (or group: model) alone
  --metric NAME       what to compare by; default: what the task is judged by
  --higher, --lower   is better, where the metric's name does not say so
  --format F          table | md | csv | json | html, to the terminal or a pipe
  --html [FILE.html]  the page, into a file (comparison.html)
  --top N             so many groups in table and md (25); 0 shows all
  --importance        how much each key matters, also where it takes seconds;
                      --no-importance: never
  --wandb ENTITY/PROJECT[/GROUP]
                      runs of W&B instead of, or beside, those of folders
  --workspace [ENTITY/PROJECT/]GROUP
                      save a view of the runs' group (a sweep's name) in W&B:
                      curves, parallel coordinates, importance, run comparer
  -h, --help          this page
"""
FORMATS = ("table", "md", "csv", "json", "html")
PAGE = "comparison.html"
FLAGS = (
    "--by", "--metric", "--higher", "--lower", "--format", "--html", "--top", "--importance",
    "--no-importance", "--wandb", "--workspace", "--help",
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Wrong arguments become a ConfigError."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, where="aiexp compare", fix="aiexp compare --help")


def main(argv: list[str]) -> int:
    """Prints the comparison of the runs named; returns 0."""
    if {"-h", "--help"} & set(argv):
        out_lines(HELP)
        return 0
    argv, page = _take_page(argv)
    arguments = _parse(argv)
    gc.disable()  # a thousand runs are many small objects that live to the end
    from aiexp.compare.compare import compare

    records = _records(arguments)
    comparison = compare(
        records,
        by=arguments.by,
        metric=arguments.metric,
        direction=arguments.direction,
        importance=arguments.importance,
    )
    if arguments.workspace is not None:
        from aiexp.compare.workspace import save_workspace

        out(save_workspace(arguments.workspace, comparison, records))
    if page is not None:
        _write_page(comparison, records, page)
    elif arguments.workspace is None:
        out_lines(_text(comparison, records, arguments.format, arguments.top))
    return 0


def _take_page(argv: list[str]) -> tuple[list[str], Path | None]:
    """`argv` without `--html [FILE.html]`; a word after it that ends otherwise is a PATH."""
    rest: list[str] = []
    page: Path | None = None
    for i, word in enumerate(argv):
        if word == "--html":
            follower = argv[i + 1] if i + 1 < len(argv) else ""
            page = Path(follower if follower.endswith(".html") else PAGE)
        elif word.startswith("--html="):
            page = Path(word.partition("=")[2])
        elif not (i and argv[i - 1] == "--html" and word.endswith(".html")):
            rest.append(word)
    return rest, page


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="aiexp compare", add_help=False, allow_abbrev=False)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--by")
    parser.add_argument("--metric")
    parser.add_argument("--higher", dest="direction", action="store_const", const="max")
    parser.add_argument("--lower", dest="direction", action="store_const", const="min")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--importance", action=argparse.BooleanOptionalAction)
    parser.add_argument("--wandb")
    parser.add_argument("--workspace")
    for word in argv:
        name = word.partition("=")[0]
        if name.startswith("-") and name not in FLAGS:
            raise ConfigError(
                f"unknown flag '{name}'.{nearest(name, FLAGS)}",
                where="aiexp compare",
                fix="aiexp compare --help",
            )
    return parser.parse_intermixed_args(argv)


def _records(arguments: argparse.Namespace) -> "list[RunRecord]":
    """The runs named, of folders and of W&B.

    Raises:
        DataError: A folder does not exist, or there are no runs in any.
    """
    from aiexp.rundir.record import find_runs

    paths: list[Path] = arguments.paths or ([] if arguments.wandb else [Path("outputs")])
    for path in paths:
        if not os.path.exists(path):
            siblings = (
                [str(path.parent / p.name) for p in path.parent.glob("*")] if path.parent.is_dir() else []
            )
            raise DataError(
                f"no such folder: {path}.{nearest(str(path), siblings)}", fix="aiexp runs lists the runs"
            )
    records = find_runs(paths, is_sealed=True)
    if arguments.wandb:
        from aiexp.compare.wandb_runs import fetch_runs

        records += fetch_runs(arguments.wandb)
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
