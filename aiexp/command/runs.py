"""`aiexp runs`: the runs there are; removing some of them, or their checkpoints. Imports no torch."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from aiexp.text.terminal import out, out_lines, say

HELP = """\
usage: aiexp runs [FILTER ...] [PATH ...]         the runs below outputs/, newest first
       aiexp runs rm RUN ... | FILTER ...         remove runs
       aiexp runs prune [FILTER ...] [PATH ...]   remove runs that came to nothing:
                                                  failed or died without a checkpoint
       aiexp runs prune --keep best|N [...]       remove checkpoints: all but the best,
                                                  or but the best and the newest N

rm and prune only say what they would do; --yes does it. A run that a process
works on is never removed, nor is anything that is not a run; a run that is not
finished keeps the checkpoint that aiexp resume needs.

filters: state=failed, task=mnist_cnn, any group or config key. Commas for
several values, * for any text, != for none of them:
  aiexp runs task=mnist_cnn seed=0,1 trainer.epochs!=5 'model=*cnn'
states: starting running finished stopped failed pruned, died (killed without
a word), damaged

  --older AGE               only runs begun longer ago: 30min, 12h, 7d, 4w
  --format table|json|csv
  --metric NAME             the metric to show
"""
FLAGS = ("--older", "--format", "--metric", "--keep", "--yes", "--help")
FORMATS: dict[str, Callable[..., str]] = {"table": as_table, "json": as_json, "csv": as_csv}
AGES = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(kw_only=True, slots=True)
class Arguments:
    """What was typed."""

    words: list[str] = field(default_factory=lambda: [])
    older: float = 0.0
    format: str = "table"
    metric: str | None = None
    keep: int | None = None
    is_sure: bool = False


def main(argv: list[str]) -> int:
    """Lists, or removes what it is told to; returns the exit code.

    Raises:
        ConfigError: a flag, filter or path is wrong.
        SecurityError: told to remove what is no run.
    """
    if {"-h", "--help"} & set(argv):
        out_lines(HELP)
        return 0
    action = argv[0] if argv[:1] in (["rm"], ["prune"]) else "list"
    arguments = parse(argv if action == "list" else argv[1:], action)
    filters, paths = split_words(arguments.words)
    for path in paths:
        if not os.path.exists(path):
            raise ConfigError(
                f"no such folder: {path}", where=f"aiexp runs {action}", fix="aiexp runs lists them"
            )
    if action == "list":
        return list_runs(select(filters, paths, arguments), arguments)
    if action == "rm":
        return carry_out(plan_runs(named_runs(filters, paths, arguments)), arguments)
    records = select(filters, paths, arguments)
    return carry_out(
        plan_empty(records) if arguments.keep is None else plan_checkpoints(records, arguments.keep),
        arguments,
    )


def parse(argv: list[str], action: str) -> Arguments:
    """The flags, and the words that are none.

    Raises:
        ConfigError: an unknown flag or a wrong value.
    """
    found = Arguments()
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            found.words.append(word)
            continue
        flag, equals, value = word.partition("=")
        if flag not in FLAGS:
            raise ConfigError(
                f"unknown flag '{flag}'.{nearest(flag, FLAGS)}", where="aiexp runs", fix="aiexp runs --help"
            )
        if flag == "--yes":
            found.is_sure = True
            continue
        value = value if equals else next(words, "")
        if flag == "--older":
            found.older = read_age(value)
        elif flag == "--format":
            if value not in FORMATS:
                raise ConfigError(
                    f"no format '{value}'.{nearest(value, FORMATS)}", where=flag, fix="table, json or csv"
                )
            found.format = value
        elif flag == "--metric":
            found.metric = value
        else:
            found.keep = read_keep(value)
    if action != "prune" and found.keep is not None:
        raise ConfigError(
            "--keep is for checkpoints", where=f"aiexp runs {action}", fix="aiexp runs prune --keep best"
        )
    if action == "list" and found.is_sure:
        raise ConfigError("--yes to what?", where="aiexp runs", fix="aiexp runs rm or aiexp runs prune")
    return found


def read_age(text: str) -> float:
    """Seconds in `7d`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text)
    if match is None:
        raise ConfigError(f"'{text}' is no age", where="--older", fix="30min, 12h, 7d or 4w")
    return float(match[1]) * AGES[match[2]]


def read_keep(text: str) -> int:
    """BEST, or how many."""
    if text == "best":
        return BEST
    if not text.isdecimal():
        raise ConfigError(
            f"'{text}' is no number of checkpoints", where="--keep", fix="best, 1, 2, ...; 0 keeps none"
        )
    return int(text)


def select(filters: Sequence[Filter], paths: Sequence[Path], arguments: Arguments) -> list[RunRecord]:
    """The runs below `paths`, or below outputs/, that every filter accepts.

    Raises:
        ConfigError: there are none because a filter is misspelled.
    """
    if not paths and not Path("outputs").is_dir():
        raise ConfigError(
            "there is no folder outputs here", where="aiexp runs", fix="name the folder of your runs"
        )
    records = find_runs(paths or [Path("outputs")])
    check_filters(filters, records)
    before = time.time() - arguments.older
    states = {record.path: actual_state(record) for record in records}
    chosen = [
        record
        for record in records
        if all(f.accepts(record, states[record.path]) for f in filters)
        and (not arguments.older or started_at(record) < before)
    ]
    if records and filters and not chosen:
        for condition in filters:
            there = values_of(condition.key, records, [states[r.path] for r in records])
            say(f"{condition}: among the {len(records)} runs there is {', '.join(there[:12])}")
    return chosen


def named_runs(filters: Sequence[Filter], paths: Sequence[Path], arguments: Arguments) -> list[RunRecord]:
    """The runs that `rm` is to remove: those named, or those that filters accept.

    Raises:
        ConfigError: neither is given.
        SecurityError: what is named is no run.
    """
    if filters:
        return select(filters, paths, arguments)
    if not paths:
        raise ConfigError(
            "remove what?", where="aiexp runs rm", fix="name runs, or a filter such as state=failed"
        )
    named = list(dict.fromkeys(map(behind_latest, paths)))
    for path in named:
        check_run(path)
    return [read_record(path.absolute()) for path in named]


def behind_latest(path: Path) -> Path:
    """The run that our own link `outputs/latest` leads to; any other path as it is."""
    target, parent = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    is_ours = path.name == "latest" and path.is_symlink() and target.is_relative_to(parent)
    return path.parent / target.relative_to(parent) if is_ours else path


def list_runs(records: list[RunRecord], arguments: Arguments) -> int:
    """Prints the table."""
    if arguments.metric is not None and records:
        known = sorted({name for record in records for name in record.metrics})
        if arguments.metric not in known:
            what = f"no run has the metric '{arguments.metric}'.{nearest(arguments.metric, known)}"
            raise ConfigError(what, where="--metric", fix=f"one of {', '.join(known)}")
    rows = make_rows(records, arguments.metric)
    if not rows and arguments.format == "table":
        say("no runs")
        return 0
    out_lines(FORMATS[arguments.format](rows))
    return 0


def carry_out(plan: Plan, arguments: Arguments) -> int:
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
        if arguments.is_sure:
            try:
                remove(removal)
            except AiexpError as error:
                exit_code = exit_code or error.exit_code
                say(error.line())
                continue
        out(line)
    if arguments.is_sure:
        out(f"removed: {count}" if not exit_code else "the rest is removed")
    else:
        out(f"would remove: {count}. Nothing is removed yet: add --yes")
    return exit_code
