"""Whether a trial is worse than the best one, seed by seed."""

from typing import Any

from aiexp.sweep.search.settings import P_THRESHOLD


def is_worse(values: dict[int, float], best: dict[int, float], direction: str) -> bool:
    """One-sided Wilcoxon signed-rank test on the seeds that both trials have run, at `P_THRESHOLD`.

    Asked after every seed it rejects an equal trial more often than one test would; a search can afford that.

    Source: Wilcoxon, "Individual comparisons by ranking methods", 1945, as `scipy.stats.wilcoxon`. Optuna's
    WilcoxonPruner also asks that the trial's mean be worse than the best one's, but takes the two means over
    different seeds, so that easy seeds which come first keep every trial alive.

    Args:
        values: Position of the seed to the objective of the trial.
        best: The same of the best complete trial.
        direction: "max" or "min".
    """
    from scipy.stats import wilcoxon

    sign = 1.0 if direction == "min" else -1.0
    losses = [sign * (values[seed] - best[seed]) for seed in values if seed in best]
    if len(losses) < 2 or not any(losses):
        return False
    test: Any = wilcoxon(losses, alternative="greater", zero_method="zsplit")
    return bool(test.pvalue < P_THRESHOLD)
