"""Numbers as text, with as many digits as they deserve."""

import math
from collections.abc import Iterable

MOST_DECIMALS = 8


def decimals_for(halves: Iterable[float | None], values: Iterable[float], *, is_terse: bool = False) -> int:
    """Decimals at which the typical interval shows two digits of its half-width.

    Args:
        halves: Half-widths of intervals; None and 0 do not count.
        values: What to go by where no interval does: four digits of the largest.
        is_terse: One digit will do where it is 3 or more.
    """
    known = sorted(half for half in halves if half)
    if known:
        typical = known[len(known) // 2]
        return _decimals(typical, 1 if is_terse and _leading_digit(typical) >= 3 else 2)
    return _decimals(max((abs(value) for value in values), default=0.0), 4)


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many digits of a number."""
    if value <= 0 or not math.isfinite(value):
        return digits
    return min(max(digits - 1 - math.floor(math.log10(value)), 0), MOST_DECIMALS)


def _leading_digit(value: float) -> int:
    return int(f"{value:e}"[0])


def show(value: float, decimals: int) -> str:
    """A number with a fixed number of decimals; -0.00 becomes 0.00."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def digits(value: float) -> str:
    """Four significant digits, also where they are zeros: 0.9570, 500.0."""
    return f"{value:#.4g}".rstrip(".")


def duration(seconds: float) -> str:
    """`4.4 s`, `45 s`, `9.4 min`, `2.1 h`, `12 days`."""
    seconds = max(seconds, 0.0)
    for largest, size, unit in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if seconds < largest:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds / 86_400)} days"


def file_size(count: float) -> str:
    """`512 B`, `850 MiB` or `3.1 GiB`, on the disk or in memory."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{_short(count)} {unit}"
        count /= 1024
    return f"{_short(count)} GiB"


def _short(value: float) -> str:
    """One decimal below 10, none above."""
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
