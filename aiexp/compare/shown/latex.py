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
    """Keys, the metric with its 95 % interval, and how many runs; it takes booktabs.

    The best group is bold, and so is each that the comparison cannot tell apart from it.
    """
    num_keys, groups = rows.num_keys(comparison), comparison.groups[: most or None]
    halves = [(g.interval.high - g.interval.low) / 2 if g.interval else None for g in comparison.groups]
    decimals = decimals_for(halves, [group.center for group in comparison.groups])
    arrow = r"$\uparrow$" if comparison.metric.is_higher_better else r"$\downarrow$"
    names = [*rows.header(comparison)[:num_keys], f"{comparison.metric.name}", comparison.unit]
    head = [_escaped(name) for name in names]
    head[num_keys] += f" {arrow}"
    lines = [*_remarks(comparison), rf"\begin{{tabular}}{{{'l' * num_keys}rr}}", r"\toprule"]
    lines += [" & ".join(head) + r" \\", r"\midrule"]
    for i, (group, cells) in enumerate(zip(groups, rows.best(comparison, most), strict=True)):
        value = f"{show(group.center, decimals)}{_interval(group, decimals)}"
        shown = rf"$\mathbf{{{value}}}$" if _is_among_the_best(comparison, i) else f"${value}$"
        lines.append(" & ".join([*map(_escaped, cells[:num_keys]), shown, str(len(group.scores))]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _interval(group: Group, decimals: int) -> str:
    """How far the interval reaches from the middle, both ways where they differ; none of a single run."""
    if group.interval is None:
        return ""
    down, up = group.center - group.interval.low, group.interval.high - group.center
    below, above = show(down, decimals), show(up, decimals)
    return rf" \pm {above}" if below == above else f"^{{+{above}}}_{{-{below}}}"


def _is_among_the_best(comparison: Comparison, number: int) -> bool:
    """Whether nothing says that the first group is better than this one."""
    apart = {pair.second for pair in comparison.differences if pair.first == 0 and pair.is_sure}
    compared = {pair.second for pair in comparison.differences if pair.first == 0 and pair.p is not None}
    return number == 0 or (number in compared and number not in apart)


def _remarks(comparison: Comparison) -> list[str]:
    """Comments: how the numbers were made, and what bold means."""
    how = r"\usepackage{booktabs}; behind each value how far its 95 % interval reaches"
    bold = "bold: the best, and what a test cannot tell apart from it; a single run cannot be tested"
    return [f"% {visible(line)}" for line in (how, bold, *rows.remarks(comparison), *comparison.notes)]


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL[found[0]], visible(text))
