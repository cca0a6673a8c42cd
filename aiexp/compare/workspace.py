"""A comparison as a view of W&B's project page: the same group of runs, the panels that suit it.

Built and checked without a network by wandb-workspaces (extra `workspace`); only saving needs the server.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiexp.compare.comparison import Comparison
from aiexp.compare.page.curves import choose_metrics
from aiexp.errors import AiexpError, ConfigError, HardwareError, reason_of
from aiexp.rundir.file import ENVIRONMENT, read_or_empty
from aiexp.rundir.record import RunRecord
from aiexp.rundir.tracked import tracked

WHERE = "--workspace"
PROBE_SECONDS = 3.0
MOST_CURVES = 6
MOST_KEYS = 8
DRAWN = ("id", "__id__", "ref", "viewID")  # names that the library draws anew each time
X_AXIS = "step"  # our own; W&B's counts log calls


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the view belongs.

    Args:
        entity: User or team; "" for the account's default.
        project: Of W&B.
        group: The runs' group: the sweep's name.
    """

    entity: str
    project: str
    group: str


def save_workspace(name: str, comparison: Comparison, records: Sequence[RunRecord]) -> str:
    """Builds the view and saves it; returns its address.

    Args:
        name: `GROUP` or `ENTITY/PROJECT/GROUP`.
        comparison: Of the runs.
        records: The runs.

    Raises:
        HardwareError: no wandb-workspaces, no key, or the server cannot be used.
        ConfigError: `name` is neither of the two.
    """
    place = find_place(name, records)
    make_workspace(place, comparison, records)  # what is wrong with it shows before the network is asked
    import wandb

    from aiexp.tracker.wandb.server import connection_problem

    settings = wandb.setup(wandb.Settings(silent=True)).settings
    problem = connection_problem(settings, PROBE_SECONDS)
    if problem is not None:
        what = f"the workspace cannot be saved: {problem}"
        raise HardwareError(what, where=WHERE, fix="wandb login, then again")
    try:
        entity = place.entity or str(wandb.Api().default_entity)
        place = Place(entity=entity, project=place.project, group=place.group)
        workspace = make_workspace(place, comparison, records)
        workspace.save()
    except AiexpError:
        raise
    except Exception as error:  # wandb: CommError, UsageError, its client's own, ...
        raise HardwareError(f"W&B did not save the workspace: {reason_of(error)}", where=WHERE) from error
    return str(workspace.url)


def find_place(name: str, records: Sequence[RunRecord]) -> Place:
    """Entity and project as typed, else as the runs' own, else as W&B's variables say.

    Raises:
        ConfigError: not `GROUP` or `ENTITY/PROJECT/GROUP`.
    """
    parts = name.split("/")
    if len(parts) == 3 and all(parts):
        return Place(entity=parts[0], project=parts[1], group=parts[2])
    if len(parts) != 1 or not name:
        raise ConfigError(f"'{name}' is no group of W&B", where=WHERE, fix="GROUP or ENTITY/PROJECT/GROUP")
    tracked = next((found for run in records if (found := _tracked(run))), {})
    return Place(
        entity=str(tracked.get("entity") or os.environ.get("WANDB_ENTITY") or ""),
        project=str(tracked.get("project") or os.environ.get("WANDB_PROJECT") or "aiexp"),
        group=name,
    )


def make_workspace(place: Place, comparison: Comparison, records: Sequence[RunRecord]) -> Any:
    """The view, after a round trip through the library's own model.

    Raises:
        HardwareError: wandb-workspaces is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as views
    except ImportError as error:
        fix = "pip install 'aiexp[workspace]'"
        raise HardwareError("wandb-workspaces is not installed", where=WHERE, fix=fix) from error
    metric = comparison.metric
    curves = choose_metrics(records, metric.name)[:MOST_CURVES]
    sections: list[tuple[str, list[Any]]] = [
        ("Curves", _curve_panels(panels, curves, config_keys(comparison, records))),
        ("Hyper-parameters", _key_panels(panels, comparison, records)),
        ("Runs", [panels.RunComparer(diff_only="split")]),
    ]
    workspace = views.Workspace(
        entity=place.entity or "entity",
        project=place.project,
        name=f"aiexp compare {place.group}"[:128],
        sections=[views.Section(name=name, panels=found, is_open=True) for name, found in sections],
        settings=views.WorkspaceSettings(x_axis=X_AXIS, max_runs=min(max(len(records), 10), 100)),
        runset_settings=views.RunsetSettings(
            filters=[views.Metric("Group") == place.group],
            order=[views.Ordering(views.Summary(metric.name), ascending=not metric.is_higher_better)],
        ),
    )
    check_round_trip(workspace)
    return workspace


def check_round_trip(workspace: Any) -> None:
    """Raises `HardwareError` when the view does not survive being written and read by the library."""
    kind = type(workspace)
    once = workspace._to_model()  # the library has no public way
    again = kind._from_model(once)._to_model()
    first, second = (
        json.loads(model.model_dump_json(by_alias=True, exclude_none=True)) for model in (once, again)
    )
    if _without_ids(first) != _without_ids(second):
        what = "this wandb-workspaces does not read the view it writes"
        raise HardwareError(what, where=WHERE, fix="pip install 'aiexp[workspace]'")


def _curve_panels(panels: Any, metrics: Sequence[str], keys: Sequence[str]) -> list[Any]:
    """A chart for each metric; runs of equal first key are averaged, with the standard error."""
    grouping: dict[str, Any] = {}
    if keys:
        key = panels.Config(keys[0])
        grouping = {"groupby": key, "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    return [panels.LinePlot(title=metric, x=X_AXIS, y=[metric], **grouping) for metric in metrics]


def _key_panels(panels: Any, comparison: Comparison, records: Sequence[RunRecord]) -> list[Any]:
    """Parallel coordinates, importance, and the first number among the keys against the metric."""
    metric = panels.SummaryMetric(comparison.metric.name)
    keys = config_keys(comparison, records)
    column = panels.ParallelCoordinatesPlotColumn
    columns = [
        column(metric=panels.Config(key), log=True if _spans_decades(key, records) else None) for key in keys
    ]
    columns.append(column(metric=metric))
    found = [
        panels.ParallelCoordinatesPlot(title="runs by hyper-parameter", columns=columns),
        panels.ParameterImportancePlot(with_respect_to=comparison.metric.name),
    ]
    numeric = next((key for key in keys if _numbers(key, records)), None)
    if numeric is not None:
        log = _spans_decades(numeric, records) or None
        found.append(panels.ScatterPlot(x=panels.Config(numeric), y=metric, log_x=log))
    return found


def config_keys(comparison: Comparison, records: Sequence[RunRecord]) -> list[str]:
    """The differing keys that W&B's config has: a group's choice stands there as the class it names."""
    known = {key for record in records for key in record.config}
    keys = [key if key in known else f"{key}._target_" for key in comparison.differing]
    return [key for key in dict.fromkeys(keys) if key in known][:MOST_KEYS]


def _numbers(key: str, records: Sequence[RunRecord]) -> list[float]:
    """A key's values, if all of them are numbers."""
    values = [record.config[key] for record in records if key in record.config]
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return [float(value) for value in values] if are_numbers else []


def _spans_decades(key: str, records: Sequence[RunRecord]) -> bool:
    values = _numbers(key, records)
    return bool(values) and min(values) > 0 and max(values) / min(values) >= 10


def _tracked(run: RunRecord) -> dict[str, Any]:
    """What the W&B tracker wrote down of a run."""
    records = tracked(read_or_empty(run.path / ENVIRONMENT)).values()
    return next((record for record in records if "project" in record), {})


def _without_ids(value: Any) -> Any:
    """A view's JSON without what the library draws anew each time."""
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {key: _without_ids(item) for key, item in items if key not in DRAWN}
    return [_without_ids(item) for item in cast(list[Any], value)] if isinstance(value, list) else value
