"""Runs before any of them has a result: what is known, in the shape of a comparison without groups."""

from collections.abc import Sequence
from typing import Literal

from aiexp.compare.comparison import Comparison
from aiexp.compare.metric import Metric, choose_metric
from aiexp.compare.varying import find_key, find_varying, short_names
from aiexp.errors import ConfigError
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State

NOT_YET = Metric(name="train/loss", is_higher_better=False)


def without_results(
    records: Sequence[RunRecord],
    why: str,
    *,
    by: str | None = None,
    metric: str | None = None,
    direction: Literal["max", "min"] | None = None,
) -> Comparison:
    """The comparison of runs of which none has a result.

    Args:
        records: Of any state.
        why: There is nothing to compare, in words.
        by: A config key or group; None: everything that differs but the seed.
        metric: Its name; None: the one the tasks are judged by.
        direction: Whether more of it is better; None: known from config or name.
    """
    readable = [record for record in records if record.state != State.DAMAGED]
    varying = find_varying(readable).keys if readable else []
    try:
        columns = varying if by is None else [find_key(by, readable, varying)]
        chosen = choose_metric([record for record in readable if record.metrics], metric, direction)
    except ConfigError:  # nothing is logged yet, or not that
        columns, chosen = varying, NOT_YET
    return Comparison(
        metric=chosen,
        statistic="mean",
        columns=columns,
        names=short_names(columns),
        differing=varying,
        groups=[],
        sentences=[f"Nothing to compare yet: {why}."],
        left_out=list(records),
    )
