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


def show_seconds(seconds: float) -> str:
    """`45 s`, `12 min` or `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def show_bytes(count: float) -> str:
    """`850 MiB` or `3.1 GiB`."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
