"""An evaluation for the terminal, 80 columns wide."""

import textwrap
from collections.abc import Sequence

from aiexp.text.number import decimals_for, show
from aiexp.text.terminal import visible
from aiexp.use.evaluating.calibration import NUM_BINS, Calibration
from aiexp.use.evaluating.evaluating import Ensemble, Outcome, Result
from aiexp.use.evaluating.groups import Groups
from aiexp.use.evaluating.resampling import Interval

WIDTH = 80
LONGEST_NAME = 34
NONE = "-"
SHORT = {"false_positive_rate": "false pos.", "false_negative_rate": "false neg."}
MOST_IN_A_LINE = 2  # measures whose intervals stand beside their values


def shown(outcome: Outcome) -> str:
    """All of it, in lines."""
    request = outcome.request
    count = "" if outcome.num_examples is None else f", {outcome.num_examples:,} examples"
    head = [f"split {request.split}{count}", *textwrap.wrap(" ".join(request.words), WIDTH)]
    if outcome.ensemble is None:
        (result,) = outcome.results
        head = [cut(result.run.name, WIDTH), f"step {result.step}{untrained(result)}, {head[0]}", *head[1:]]
        parts = [head, metrics_lines(result)]
        if result.calibration is not None:
            parts.append(calibration_lines(result.calibration))
    else:
        parts = [head, runs_lines(outcome.results, outcome.ensemble), gain_lines(outcome, outcome.ensemble)]
        parts.append(calibration_lines(outcome.ensemble.calibration))
    if outcome.groups is not None:
        parts.append(groups_lines(outcome.groups))
    return "\n\n".join("\n".join(map(visible, lines)) for lines in parts if lines) + "\n"


def untrained(result: Result) -> str:
    """What is to be said of step 0."""
    return "" if result.step else " (untrained)"


def cut(name: str, width: int) -> str:
    """A name that is no wider; of a run's the end tells it from others."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]


def metrics_lines(result: Result) -> list[str]:
    """The metrics, beside those that the run ended with."""
    metrics, ended = result.evaluation.metrics, result.at_the_end
    if not metrics:
        return ["There are no metrics: the task shows what it does, in pictures or tables."]
    has_ended = bool(metrics.keys() & ended.keys())
    rows = [["", "here", *(["at the end of the run"] if has_ended else [])]] if has_ended else []
    for name, value in metrics.items():
        decimals = decimals_for([], [value])
        other = show(ended[name], decimals) if name in ended else NONE
        rows.append([name, show(value, decimals), *([other] if has_ended else [])])
    same = has_ended and all(ended.get(name) == value for name, value in metrics.items())
    return [*aligned(rows), *(["The same to the last digit."] if same else [])]


def calibration_lines(calibration: Calibration) -> list[str]:
    """Expected calibration error and loss, before and after the temperature."""
    if calibration.error_after is None or calibration.loss_after is None or calibration.temperature is None:
        return [
            f"calibration error (ECE, {NUM_BINS} bins) {calibration.error:.4f}",
            "There are no examples of the split eval to fit a temperature on.",
        ]
    rows = [
        ["calibration", "as it is", f"at temperature {calibration.temperature:.2f}"],
        [f"error (ECE, {NUM_BINS} bins)", f"{calibration.error:.4f}", f"{calibration.error_after:.4f}"],
        ["loss", f"{calibration.loss:.4f}", f"{calibration.loss_after:.4f}"],
    ]
    fitted = f"The temperature is fitted on the split {calibration.fitted_on}."
    bounded = ["That is as far as one looks: too few examples there are wrong, or right."]
    return [*aligned(rows), fitted, *(bounded if calibration.is_bounded else [])]


def runs_lines(results: Sequence[Result], ensemble: Ensemble) -> list[str]:
    """A row for each run and one for all together."""
    names = [name for name in ensemble.metrics if all(name in r.evaluation.metrics for r in results)]
    rows = [["", *names, "ECE"]]
    for result in results:
        error = result.calibration.error if result.calibration else float("nan")
        numbers = [*(result.evaluation.metrics[name] for name in names), error]
        rows.append([f"{cut(result.run.name, LONGEST_NAME)}{untrained(result)}", *map(digits, numbers)])
    numbers = [*(ensemble.metrics[name] for name in names), ensemble.calibration.error]
    rows.append([f"all {len(results)} together", *map(digits, numbers)])
    return aligned(rows)


def digits(value: float) -> str:
    """A number with four decimals."""
    return f"{value:.4f}"


def gain_lines(outcome: Outcome, ensemble: Ensemble) -> list[str]:
    """What the ensemble adds to the best of its members."""
    low, high = ensemble.interval
    best = outcome.results[ensemble.best].run.name
    sure = "" if low > 0 or high < 0 else ", which holds 0: no difference is shown"
    return [
        f"accuracy of all together: {ensemble.gain:+.4f} over the best alone",
        f"({cut(best, WIDTH - 2)})",
        f"95 % interval [{low:+.4f}, {high:+.4f}]{sure}",
    ]


def groups_lines(groups: Groups) -> list[str]:
    """A row for each group; then how far they are apart."""
    names = list(groups.spreads)
    is_wide = len(names) > MOST_IN_A_LINE
    halves = [(i[1] - i[0]) / 2 for g in groups.groups for i in g.intervals.values() if i is not None]
    decimals = min(decimals_for(halves, [1.0]), 4)
    title = f"by {groups.by}" + (f", rates of '{groups.positive}'" if groups.positive else "")
    columns = [column for name in names for column in ([SHORT.get(name, name)] if is_wide else [name, ""])]
    rows = [[cut(title, LONGEST_NAME), "examples", *columns]]
    for group in groups.groups:
        cells = [(group.values[name], group.intervals[name]) for name in names]
        rows += group_rows(cut(group.name, LONGEST_NAME), f"{group.count:,}", cells, decimals, is_wide)
    total = sum(group.count for group in groups.groups)
    rows += group_rows(
        "all", f"{total:,}", [(groups.spreads[n].overall, None) for n in names], decimals, is_wide
    )
    apart = [(groups.spreads[name].difference, groups.spreads[name].interval) for name in names]
    rows += group_rows("difference", "", apart, decimals, is_wide)
    ratios: list[tuple[float, Interval | None]] = [(groups.spreads[name].ratio, None) for name in names]
    rows += group_rows("ratio", "", ratios, decimals, is_wide)
    smallest = groups.smallest
    return [
        *aligned(rows),
        "95 % intervals: of shares Wilson's, of all else by resampling the examples.",
        f"Smallest group: {cut(smallest.name, LONGEST_NAME)}, {smallest.count:,} examples.",
    ]


def group_rows(
    name: str, count: str, cells: Sequence[tuple[float, Interval | None]], decimals: int, is_wide: bool
) -> list[list[str]]:
    """The row of a group, and below it that of the intervals where they do not fit beside the values."""
    values = [NONE if value != value else show(value, decimals) for value, _ in cells]
    intervals = ["" if i is None else f"{show(i[0], decimals)}-{show(i[1], decimals)}" for _, i in cells]
    if not is_wide:
        return [[name, count, *(text for pair in zip(values, intervals, strict=True) for text in pair)]]
    rows = [[name, count, *values]]
    return [*rows, ["", "", *intervals]] if any(intervals) else rows
