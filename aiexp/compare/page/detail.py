"""What the page shows of one run: its config with comments, log, tables, environment, git diff."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiexp.compare.page.pictures import MOST_RUNS, one_of_each, tables_of
from aiexp.config.folders import conf_dirs
from aiexp.errors import AiexpError
from aiexp.rundir.file import CONFIG, ENVIRONMENT, ERROR_LOG, GIT_DIFF, LOG, STORED, TYPED, read_or_empty
from aiexp.rundir.record import RunRecord
from aiexp.storage.reader import read_bytes, read_from

BUDGET_CHARACTERS = 600_000  # of a page that is one file
MOST_CHARACTERS = 200_000  # of a text that is fetched when it is looked at
FEW_CHARACTERS = 12_000  # of one that is in the page
MOST_ROWS, FEW_ROWS = 500, 20  # of a table
MOST_COLUMNS = 30
MOST_CELL = 300  # characters
LARGEST_TABLE = 4_000_000  # bytes of a CSV; a larger one is not read


def make_details(runs: Sequence[RunRecord], groups: Sequence[int | None]) -> dict[str, dict[str, Any]]:
    """The details of runs by their place, as many as the budget allows, one of every group first."""
    found: dict[str, dict[str, Any]] = {}
    left = BUDGET_CHARACTERS
    for i in one_of_each(groups)[:MOST_RUNS]:
        if not runs[i].path.is_dir():  # of W&B
            continue
        parts = {part: read_part(runs[i].path, part, is_brief=True) for part in PARTS}
        left -= len(json.dumps(parts))
        if left < 0:
            break
        found[str(i)] = {part: value for part, value in parts.items() if value}
    return found


def read_part(run: Path, part: str, *, is_brief: bool = False) -> Any:
    """A part of a run's details: a text, or a list of tables; empty where there is none.

    Args:
        run: Its directory.
        part: One of `PARTS`.
        is_brief: Whether long ones are cut to what fits a page.
    """
    return PARTS[part](run, is_brief)


def _config(run: Path, is_brief: bool) -> str:
    """config.yaml, with the comments of the YAML files that it was made from."""
    from aiexp.config.described.beside import comments_for, with_comments  # a fifth of a second

    try:
        text = read_bytes(_own(run / CONFIG), STORED[CONFIG].most_bytes).decode("utf-8", "replace")
        choices: dict[str, Any] = read_or_empty(run / TYPED).get("choices") or {}
        known = {group: str(name) for group, name in choices.items()}
        return with_comments(text, comments_for(known, conf_dirs()))[:MOST_CHARACTERS]
    except (OSError, ValueError, AiexpError):
        return ""


def _log(run: Path, is_brief: bool) -> str:
    """The end of run.log, behind it the traceback of a bug."""
    most = FEW_CHARACTERS if is_brief else MOST_CHARACTERS
    return "\n".join(text for name in (LOG, ERROR_LOG) if (text := _end(run / name, most)))


def _environment(run: Path, is_brief: bool) -> str:
    """environment.json as text; in a page, which may be sent to others, without packages and places."""
    found = {} if (run / ENVIRONMENT).is_symlink() else read_or_empty(run / ENVIRONMENT)
    for key in ("packages", "hostname", "working_directory") if is_brief else ():
        found.pop(key, None)
    return _beginning(json.dumps(found, indent=2, ensure_ascii=False) if found else "", is_brief)


def _diff(run: Path, is_brief: bool) -> str:
    """What was not committed."""
    try:
        content = read_from(_own(run / GIT_DIFF), 0, 4 * MOST_CHARACTERS)
    except (OSError, ValueError):
        return ""
    return _beginning(content.decode("utf-8", "replace"), is_brief)


def _tables(run: Path, is_brief: bool) -> list[dict[str, Any]]:
    """The newest of each of its tables; small ones that are in a page, the first rows of larger ones."""
    return [
        {"name": name, "step": max(steps), **table}
        for name, steps in tables_of(run).items()
        if (table := read_table(steps[max(steps)], FEW_ROWS if is_brief else MOST_ROWS))
    ]


def read_table(path: Path, most: int) -> dict[str, Any]:
    """Columns and rows of a CSV, at most so many; empty when it cannot be read."""
    try:
        text = read_bytes(path, LARGEST_TABLE).decode("utf-8", "replace")
        lines = list(csv.reader(io.StringIO(text)))
    except (OSError, ValueError, csv.Error):
        return {}
    if not lines:
        return {}
    header, *rows = [[cell[:MOST_CELL] for cell in line[:MOST_COLUMNS]] for line in lines]
    return {"columns": header, "rows": rows[:most], "numRows": len(rows)}


def _own(path: Path) -> Path:
    """A file of a run; a page that is sent to others must not hold what a link in a foreign run leads to.

    Raises:
        ValueError: it is a link.
    """
    if path.is_symlink():
        raise ValueError("is a link")
    return path


def _end(path: Path, most: int) -> str:
    """The last lines of a text file."""
    try:
        content = read_from(_own(path), -most - 1, most + 1)
    except (OSError, ValueError):
        return ""
    text = content.decode("utf-8", "replace")
    return text if len(content) <= most else "...\n" + text[1:].partition("\n")[2]


def _beginning(text: str, is_brief: bool) -> str:
    most = FEW_CHARACTERS if is_brief else MOST_CHARACTERS
    return text if len(text) <= most else f"{text[:most]}\n... and {len(text) - most:,} characters more"


PARTS: dict[str, Callable[[Path, bool], Any]] = {
    "config": _config,
    "log": _log,
    "tables": _tables,
    "environment": _environment,
    "diff": _diff,
}
