"""How much of the metric's variation each config key explains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiexp.compare.comparison import Group
from aiexp.compare.varying import MISSING, show_value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST = 10  # configs; below, one lucky run decides the order
MOST_UNASKED = 100  # configs; of more it takes seconds
MOST = 300
NUM_TREES = 32
LOG_RATIO = 50.0  # a key whose largest value is so many times its smallest was searched on a log scale


def find_importances(groups: Sequence[Group], keys: Sequence[str]) -> dict[str, float]:
    """Share of the variation between the groups that each key explains, the largest first; together 1.

    Args:
        groups: At least `FEWEST`; of more than `MOST`, every so many-th.
        keys: At least one key that differs.

    Source: functional analysis of variance (Hutter, Hoos and Leyton-Brown 2014), Optuna's
    FanovaImportanceEvaluator.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen = groups[:: -(-len(groups) // MOST)]
    columns = {key: [group.values.get(key, MISSING) for group in chosen] for key in keys}
    columns = {key: values for key, values in columns.items() if len({show_value(v) for v in values}) > 1}
    distributions = {key: _distribution(values) for key, values in columns.items()}
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={k: _parameter(columns[k][i], distributions[k]) for k in columns},
                distributions=distributions,
                value=group.center,
            )
            for i, group in enumerate(chosen)
        ]
    )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=NUM_TREES, seed=0))
    return {key: float(share) for key, share in found.items()}


def _distribution(values: list[Any]) -> "BaseDistribution":
    """What the values of a key may have been drawn from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and high / low >= LOG_RATIO)
    return CategoricalDistribution(sorted({show_value(value) for value in values}))


def _parameter(value: Any, distribution: "BaseDistribution") -> Any:
    from optuna.distributions import FloatDistribution

    return float(value) if isinstance(distribution, FloatDistribution) else show_value(value)
