"""A comparison as a table of LaTeX, in the manner of booktabs."""

import re

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.shown import rows
from aiexp.text.number import decimals_for, show
from aiexp.text.terminal import visible

# The ten characters that mean something to TeX.
_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def as_latex(comparison: Comparison, most: int = 0) -> str:
    """Keys, the metric with half the width of its 95 % interval, and how many runs; it takes booktabs.

    The best group is bold, and so is each that the comparison cannot tell apart from it.
    """
    num_keys, groups = rows.num_keys(comparison), comparison.groups[: most or None]
    halves = [_half(group) for group in comparison.groups]
    decimals = decimals_for(halves, [group.center for group in comparison.groups])
    arrow = r"$\uparrow$" if comparison.metric.is_higher_better else r"$\downarrow$"
    names = [*rows.header(comparison)[:num_keys], f"{comparison.metric.name}", comparison.unit]
    head = [_escaped(name) for name in names]
    head[num_keys] += f" {arrow}"
    lines = [*_remarks(comparison), rf"\begin{{tabular}}{{{'l' * num_keys}rr}}", r"\toprule"]
    lines += [" & ".join(head) + r" \\", r"\midrule"]
    for i, (group, cells) in enumerate(zip(groups, rows.best(comparison, most), strict=True)):
        half = "" if halves[i] is None else rf" \pm {show(halves[i] or 0.0, decimals)}"
        value = f"{show(group.center, decimals)}{half}"
        shown = rf"$\mathbf{{{value}}}$" if _is_among_the_best(comparison, i) else f"${value}$"
        lines.append(" & ".join([*map(_escaped, cells[:num_keys]), shown, str(len(group.scores))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _half(group: Group) -> float | None:
    return (group.interval.high - group.interval.low) / 2 if group.interval else None


def _is_among_the_best(comparison: Comparison, number: int) -> bool:
    """Whether nothing says that the first group is better than this one."""
    apart = {pair.second for pair in comparison.differences if pair.first == 0 and pair.is_sure}
    compared = {pair.second for pair in comparison.differences if pair.first == 0 and pair.p is not None}
    return number == 0 or (number in compared and number not in apart)


def _remarks(comparison: Comparison) -> list[str]:
    """Comments: how the numbers were made, and what bold means."""
    bold = "bold: the best, and what cannot be told apart from it; +-: half the width of the 95 % interval"
    return [f"% {visible(line)}" for line in (*rows.remarks(comparison), *comparison.notes, bold)]


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL[found[0]], visible(text))
