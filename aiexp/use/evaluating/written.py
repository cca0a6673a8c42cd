"""An evaluation as a folder of files: numbers, tables, pictures."""

import hashlib
import math
from pathlib import Path
from typing import Any

from aiexp import __version__
from aiexp.rundir.directory import slug
from aiexp.storage.files import storage_errors, write_bytes, write_json, write_text
from aiexp.storage.staged import check_target, staged
from aiexp.task.report import Table
from aiexp.text.csv import csv_text
from aiexp.use.evaluating.diagram import reliability_diagram
from aiexp.use.evaluating.evaluating import Outcome, Result
from aiexp.use.evaluating.groups import Groups

FOLDER = "evaluations"  # in a run directory
RECORD = "evaluation.json"  # by it a folder is known for one that may be replaced


def target_of(outcome: Outcome, out: Path | None) -> Path:
    """The folder of an evaluation: `--out`, or one in the (first) run that says what was asked for."""
    if out is not None:
        return out.expanduser().absolute()
    request, first = outcome.request, outcome.results[0]
    parts = [request.split, f"step-{first.step:08d}"]
    if outcome.ensemble is not None:
        names = "\n".join(f"{result.run.name} {result.step}" for result in outcome.results)
        parts[1] = f"ensemble-{hashlib.sha256(names.encode()).hexdigest()[:6]}"
    parts += [slug([*request.words, *([f"by={request.by}"] if request.by else [])])]
    return first.run / FOLDER / "_".join(filter(None, parts))


def write_outcome(outcome: Outcome, out: Path | None) -> Path:
    """Writes all of an evaluation; returns its folder, which takes the place of an earlier one of the same.

    Raises:
        StorageError: the folder holds something else, or cannot be written.
    """
    target = target_of(outcome, out)
    check_target(target, RECORD)
    with staged(target) as folder, storage_errors("writing an evaluation", target, "--out DIR"):
        pictures, pdfs = pictures_of(outcome)
        for name, picture in pictures.items():
            suffix = "gif" if picture.startswith(b"GIF8") else "png"
            write_bytes(_made(folder / f"{name}.{suffix}"), picture)
        for name, drawn in pdfs.items():
            write_bytes(_made(folder / f"{name}.pdf"), drawn)
        for name, table in tables_of(outcome).items():
            write_text(_made(folder / f"{name}.csv"), csv_text([table.columns, *table.rows]))
        write_json(folder / RECORD, record_of(outcome))
    return target


def _made(path: Path) -> Path:
    """A path whose folder is there: names of pictures may hold `/`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def pictures_of(outcome: Outcome) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The pictures by name: of one task its own and its reliability, of several that of all together.

    Returns:
        PNG or GIF, and of some of them PDF.
    """
    own = outcome.results[0].evaluation
    pictures, pdfs = ({}, {}) if outcome.ensemble else (dict(own.pictures), dict(own.pdfs))
    judged = outcome.ensemble or outcome.results[0]
    if judged.calibration is not None:
        title = f"{outcome.request.split}: {outcome.num_examples or 0:,} examples"
        diagram = reliability_diagram(judged.calibration, title)
        pictures["reliability"], pdfs["reliability"] = diagram.png, diagram.pdf
    return pictures, pdfs


def tables_of(outcome: Outcome) -> dict[str, Table]:
    """The tables by name, likewise."""
    tables = dict(outcome.results[0].evaluation.tables) if outcome.ensemble is None else {}
    if outcome.groups is not None:
        tables["groups"] = table_of_groups(outcome.groups)
    return tables


def table_of_groups(groups: Groups) -> Table:
    """A row for each group: the number of its examples, and of each measure value and interval."""
    ends = ("", "_low", "_high")
    columns = [groups.by, "examples", *(f"{name}{end}" for name in groups.spreads for end in ends)]
    rows: list[list[str | int | float]] = []
    for group in groups.groups:
        row: list[str | int | float] = [group.name, group.count]
        for name in groups.spreads:
            low, high = group.intervals[name] or ("", "")
            value = group.values[name]
            row += ["" if math.isnan(value) else value, low, high]
        rows.append(row)
    return Table(columns=columns, rows=rows)


def record_of(outcome: Outcome) -> dict[str, Any]:
    """All numbers as JSON values."""
    request, ensemble = outcome.request, outcome.ensemble
    return {
        "aiexp": __version__,
        "split": request.split,
        "examples": outcome.num_examples,
        "changes": list(request.words),
        "runs": [_result(result) for result in outcome.results],
        "ensemble": ensemble
        and {
            "metrics": _finite(ensemble.metrics),
            "calibration": ensemble.calibration.numbers(),
            "best": outcome.results[ensemble.best].run.name,
            "gain": ensemble.gain,
            "interval": list(ensemble.interval),
        },
        "groups": outcome.groups and outcome.groups.numbers(),
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "run": result.run.name,
        "step": result.step,
        "metrics": _finite(result.evaluation.metrics),
        "better": dict(result.evaluation.better),
        "at_the_end": _finite(result.at_the_end),
        "calibration": result.calibration and result.calibration.numbers(),
    }


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    """Metrics for JSON, which has no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
