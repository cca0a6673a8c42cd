"""What a search has found, in lines for its user: the best value and what to type to run it again."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.config.folders import shown
from aiexp.config.hydra_settings import is_hydra_setting
from aiexp.sweep.search.settings import SEARCH

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MOST = 10  # trials of a Pareto front that are listed


def search_lines(directory: Path, overrides: list[str], names: frozenset[str]) -> list[str]:
    """Lines on the search in a sweep directory; none if it holds none.

    Args:
        directory: The sweep's.
        overrides: Of the whole sweep, as typed; secrets masked.
        names: Keys and groups that vary.
    """
    if not (directory / SEARCH).is_file():
        return []
    from aiexp.sweep.search.study import JOURNAL, load_study

    study = load_study(directory)
    fixed = [o for o in overrides if not is_hydra_setting(o) and o.partition("=")[0] not in names]
    lines = [_counts(study), *_best(study, fixed)]
    return [*lines, f"look at it: optuna-dashboard {shown(directory / JOURNAL)}"]


def _counts(study: "Study") -> str:
    """`20 trials: 15 complete, 4 pruned, 1 failed`."""
    states = [_state(t) for t in study.get_trials(deepcopy=False)]
    names = [n for n in ("complete", "pruned", "failed", "running") if n in states]
    counts = ", ".join(f"{states.count(name)} {name}" for name in names)
    return f"{len(states) - states.count('waiting')} trials: {counts}"


def _state(trial: "FrozenTrial") -> str:
    """Optuna's state in our words."""
    return {"fail": "failed"}.get(trial.state.name.lower(), trial.state.name.lower())


def _best(study: "Study", fixed: list[str]) -> list[str]:
    """The best trial, or those that no other beats in every objective."""
    best = study.best_trials
    if not best:
        return ["no trial is complete: no best one"]
    if len(study.directions) == 1:
        return [f"best {_described(best[0], study)}: {_command(best[0], fixed)}"]
    lines = [f"{len(best)} trials that no other beats in every objective:"]
    lines += [f"  {_described(t, study)}: {_command(t, fixed)}" for t in best[:MOST]]
    return [*lines, f"  and {len(best) - MOST} more"] if len(best) > MOST else lines


def _described(trial: "FrozenTrial", study: "Study") -> str:
    """`eval/accuracy 0.98 (trial 7, mean of 5 seeds)`."""
    names = study.metric_names or []
    values = "  ".join(f"{name} {value:.6g}" for name, value in zip(names, trial.values, strict=True))
    num_seeds = len(trial.user_attrs.get("jobs", {}))
    return f"{values} (trial {trial.number}{f', mean of {num_seeds} seeds' if num_seeds > 1 else ''})"


def _command(trial: "FrozenTrial", fixed: list[str]) -> str:
    """What to type to run a trial's config."""
    return shlex.join(["aiexp", "run", *fixed, *trial.user_attrs["overrides"]])
