"""`aiexp runs`: the runs there are; removing some of them, or their checkpoints. Imports no torch."""

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiexp.command.flags import Flag, Flags
from aiexp.config.folders import shown
from aiexp.errors import AiexpError, ConfigError, nearest
from aiexp.rundir.lock import actual_state
from aiexp.rundir.record import RunRecord, find_runs, read_record
from aiexp.runs.disk import freed_bytes
from aiexp.runs.filter import Filter, check_filters, split_words, values_of
from aiexp.runs.listing import as_csv, as_json, as_table, make_rows, started_at
from aiexp.runs.plan import BEST, Plan, plan_checkpoints, plan_empty, plan_runs
from aiexp.runs.removal import check_run, remove
from aiexp.text.number import file_size
from aiexp.text.terminal import out, out_lines, out_styled, say

HELP = """\
usage: aiexp runs [FILTER ...] [PATH ...]     the runs below outputs/, newest
                                              first
       aiexp runs rm RUN ... | FILTER ...     remove runs
       aiexp runs prune [FILTER|PATH ...]     remove runs that came to nothing:
                                              failed or died, no checkpoint
       aiexp runs prune --keep best|N [...]   remove checkpoints: all but the
                                              best, or the best and newest N

rm and prune only say what they would do; --yes does it. A run that a process
works on is never removed, nor is anything that is not a run; a run that is not
finished keeps the checkpoint that aiexp resume needs.

filters: state=failed, task=mnist_cnn, tag=WORD (aiexp board gives tags), any
group or config key. Commas for several values, * for any text, != for none;
< <= > >= compare numbers, in quotes because of the shell:
  aiexp runs task=mnist_cnn seed=0,1 'trainer.epochs>5' 'model=*cnn'
states: starting running finished stopped failed pruned, died (killed without
a word), damaged
"""
ACTIONS = ("rm", "prune")
_FORMATS: dict[str, Callable[..., str]] = {"json": as_json, "csv": as_csv}
_AGES = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
FLAGS = Flags(
    "runs",
    Flag("--older", "only runs begun longer ago: 30min, 12h, 7d, 4w", value="AGE"),
    Flag("--format", "how the runs are listed", choices=("table", *_FORMATS)),
    Flag("--metric", "the metric to show", value="NAME"),
    Flag("--keep", "prune: the checkpoints that stay; 0 keeps none", value="best|N"),
    Flag("--yes", "rm, prune: do it"),
)


def main(argv: list[str]) -> int:
    """Lists, or removes what it is told to; returns the exit code.

    Raises:
        ConfigError: a flag, filter or path is wrong.
        SecurityError: told to remove what is no run.
    """
    action = argv[0] if argv and argv[0] in ACTIONS else "list"
    words, flags = FLAGS.parse(argv if action == "list" else argv[1:])
    keep, is_sure = _read_keep(flags.get("keep")), "yes" in flags
    age = flags.get("older")
    before = math.inf if age is None else time.time() - _read_age(age)
    _check_action(action, flags)
    filters, paths = split_words(words)
    for path in paths:
        if not os.path.exists(path):
            raise ConfigError(
                f"no such folder: {path}", where=f"aiexp runs {action}", fix="aiexp runs lists them"
            )
    if action == "rm":
        return _carry_out(plan_runs(_named_runs(filters, paths, before)), is_sure)
    records = _select(filters, paths, before)
    if action == "list":
        return _list_runs(records, flags.get("metric"), flags.get("format", "table"))
    return _carry_out(plan_empty(records) if keep is None else plan_checkpoints(records, keep), is_sure)


def _check_action(action: str, flags: dict[str, str]) -> None:
    """Refuses flags of another action."""
    if action != "prune" and "keep" in flags:
        raise ConfigError(
            "--keep is for checkpoints", where=f"aiexp runs {action}", fix="aiexp runs prune --keep best"
        )
    if action == "list" and "yes" in flags:
        raise ConfigError("--yes to what?", where="aiexp runs", fix="aiexp runs rm or aiexp runs prune")


def _read_age(text: str) -> float:
    """Seconds in `7d`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text)
    if match is None:
        raise ConfigError(f"'{text}' is no age", where="--older", fix="30min, 12h, 7d or 4w")
    return float(match[1]) * _AGES[match[2]]


def _read_keep(text: str | None) -> int | None:
    """BEST, or how many."""
    if text is None:
        return None
    if text == "best":
        return BEST
    if not text.isdecimal():
        raise ConfigError(
            f"'{text}' is no number of checkpoints", where="--keep", fix="best, 1, 2, ...; 0 keeps none"
        )
    return int(text)


def _select(filters: Sequence[Filter], paths: Sequence[Path], before: float) -> list[RunRecord]:
    """The runs below `paths`, or below outputs/, begun before a time, that every filter accepts.

    Raises:
        ConfigError: there are none because a filter is misspelled.
    """
    if not paths and not Path("outputs").is_dir():
        raise ConfigError(
            "there is no folder outputs here", where="aiexp runs", fix="name the folder of your runs"
        )
    records = find_runs(paths or [Path("outputs")])
    check_filters(filters, records)
    states = {record.path: actual_state(record) for record in records}
    chosen = [
        record
        for record in records
        if all(f.accepts(record, states[record.path]) for f in filters) and started_at(record) < before
    ]
    if records and filters and not chosen:
        for condition in filters:
            there = values_of(condition.key, records, [states[r.path] for r in records])
            found = ", ".join(there[:12]) or f"no {condition.key}"
            say(f"{condition}: among the {len(records)} runs there is {found}")
    return chosen


def _named_runs(filters: Sequence[Filter], paths: Sequence[Path], before: float) -> list[RunRecord]:
    """The runs that `rm` is to remove: those named, or those that filters accept.

    Raises:
        ConfigError: neither is given.
        SecurityError: what is named is no run.
    """
    if filters:
        return _select(filters, paths, before)
    if not paths:
        raise ConfigError(
            "remove what?", where="aiexp runs rm", fix="name runs, or a filter such as state=failed"
        )
    named = list(dict.fromkeys(map(_behind_latest, paths)))
    for path in named:
        check_run(path)
    return [read_record(path.absolute()) for path in named]


def _behind_latest(path: Path) -> Path:
    """The run that our own link `outputs/latest` leads to; any other path as it is."""
    target, parent = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    is_ours = path.name == "latest" and path.is_symlink() and target.is_relative_to(parent)
    return path.parent / target.relative_to(parent) if is_ours else path


def _list_runs(records: list[RunRecord], metric: str | None, form: str) -> int:
    """Prints the table."""
    if metric is not None and records:
        known = sorted({name for record in records for name in record.metrics})
        if metric not in known:
            what = f"no run has the metric '{metric}'.{nearest(metric, known)}"
            raise ConfigError(what, where="--metric", fix=f"one of {', '.join(known)}")
    rows = make_rows(records, metric)
    if form != "table":
        out_lines(_FORMATS[form](rows))
    elif rows:
        out_styled(as_table(rows))
    else:
        say("no runs")
    return 0


def _carry_out(plan: Plan, is_sure: bool) -> int:
    """Says what goes, and removes it when that was asked for; returns the exit code of the first refusal."""
    for name in plan.under_way:
        say(f"stays: {name}: a process works on it")
    if not plan.removals:
        say("nothing to remove")
        return 0
    freed = file_size(freed_bytes(path for removal in plan.removals for path in removal.paths))
    what = "checkpoints of " if plan.removals[0].paths[0] != plan.removals[0].run else ""
    count = f"{what}{len(plan.removals)} run{'s' * (len(plan.removals) != 1)}, {freed}"
    exit_code = 0
    for removal in plan.removals:
        line = f"{file_size(freed_bytes(removal.paths)):>8}  {shown(removal.run)}  ({removal.reason})"
        if is_sure:
            try:
                remove(removal)
            except AiexpError as error:
                exit_code = exit_code or error.exit_code
                say(error.line())
                continue
        out(line)
    if is_sure:
        out(f"removed: {count}" if not exit_code else "the rest is removed")
    else:
        out(f"would remove: {count}. Nothing is removed yet: add --yes")
    return exit_code
