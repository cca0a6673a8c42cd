"""Optuna's samplers and pruners, made from the settings of a search."""

import warnings
from typing import TYPE_CHECKING, Any

from aiexp.sweep.search.settings import Settings

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def make_sampler(settings: Settings, number: int) -> "BaseSampler":
    """The sampler that draws trial `number`.

    It is made anew for each trial, seeded by the trial's number: what it has learned lies in the study's
    storage, and a resumed search draws what an uninterrupted one would have drawn.

    Args:
        settings: Of the search.
        number: Of the trial, from 0.
    """
    import numpy as np
    from optuna import samplers

    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    startup = settings.startup_trials
    with without_experimental_warnings():
        match settings.sampler:
            case "tpe":
                return samplers.TPESampler(seed=seed, n_startup_trials=startup)
            case "gp":
                return samplers.GPSampler(seed=seed, n_startup_trials=startup)
            case "cmaes":
                return samplers.CmaEsSampler(
                    seed=seed, n_startup_trials=startup, warn_independent_sampling=False
                )
            case "qmc":
                # One sequence for all trials, so one seed; what it cannot draw has a seed for each.
                return samplers.QMCSampler(
                    scramble=True, seed=settings.seed, independent_sampler=samplers.RandomSampler(seed),
                    warn_independent_sampling=False, warn_asynchronous_seeding=False,
                )  # fmt: skip
            case "nsga2":
                # A generation a fifth of the trials: with Optuna's 50, few searches would leave the first.
                return samplers.NSGAIISampler(
                    seed=seed, population_size=min(50, max(4, settings.n_trials // 5))
                )
            case _:  # random, and grid, whose trials are enqueued
                return samplers.RandomSampler(seed)


def make_pruner(settings: Settings) -> "BasePruner":
    """The pruner; its steps are evaluations of a run, from 1."""
    from optuna import pruners

    with without_experimental_warnings():
        match settings.pruner:
            case "median":
                return pruners.MedianPruner(
                    n_startup_trials=settings.startup_trials, n_warmup_steps=settings.warmup_evaluations + 1
                )
            case "hyperband":
                return pruners.HyperbandPruner(min_resource=settings.warmup_evaluations + 1)
            case _:  # wilcoxon prunes between runs: aiexp.sweep.search.seed_comparison
                return pruners.NopPruner()


def without_experimental_warnings() -> Any:
    """A context in which Optuna does not call half of its samplers experimental."""
    from optuna.exceptions import ExperimentalWarning

    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)
