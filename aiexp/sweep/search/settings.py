"""Settings of a search, checked: conf/hydra/sweeper/optuna.yaml."""

import math
from dataclasses import dataclass
from typing import final

from aiexp.errors import ConfigError, nearest
from aiexp.sweep.search.space import Space

SEARCH = "search.json"  # in the sweep directory: these settings, read without Optuna
SAMPLERS = ("tpe", "random", "cmaes", "qmc", "gp", "nsga2", "grid")
PRUNERS = ("none", "median", "hyperband", "wilcoxon")
DIRECTIONS = ("max", "min")
P_THRESHOLD = 0.1  # of Wilcoxon's test: a trial is pruned when it is worse than the best one with p below
NUMBERS_ONLY = ("cmaes", "qmc")


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `hydra.sweeper` says.

    Args:
        n_trials: In all.
        sampler: One of SAMPLERS.
        seed: Of the sampler.
        startup_trials: Complete trials before the sampler models and the pruner prunes.
        objectives: Names of metrics of a finished run.
        directions: "max" or "min" for each of them.
        pruner: One of PRUNERS.
        warmup_evaluations: Evaluations of a run that never prune it.

    Raises:
        ConfigError: a value is none of those allowed, or two of them exclude each other.
    """

    n_trials: int
    sampler: str
    seed: int
    startup_trials: int
    objectives: list[str]
    directions: list[str]
    pruner: str
    warmup_evaluations: int

    def __post_init__(self) -> None:
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("pruner", self.pruner, PRUNERS)
        for name, value, least in (
            ("n_trials", self.n_trials, 1), ("seed", self.seed, 0),
            ("startup_trials", self.startup_trials, 1), ("warmup_evaluations", self.warmup_evaluations, 0),
        ):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(
                    f"{name} is {value}; it must be a whole number, at least {least}", where=_key(name)
                )
        for direction in self.directions:
            _one_of("direction", direction, DIRECTIONS)
        if not self.objectives:
            raise ConfigError(
                "a search needs an objective", where=_key("objective"),
                fix=f"{_key('objective')}=eval/accuracy {_key('direction')}=max",
            )  # fmt: skip
        if len(self.directions) != len(self.objectives):
            wanted = f"[{','.join(['max'] * len(self.objectives))}]" if len(self.objectives) > 1 else "max"
            raise ConfigError(
                f"{len(self.objectives)} objectives ({', '.join(self.objectives)}), "
                f"{len(self.directions)} directions", where=_key("direction"),
                fix=f"{_key('direction')}={wanted}, or min, one for each objective",
            )  # fmt: skip
        if len(set(self.objectives)) != len(self.objectives):
            raise ConfigError("an objective is named twice", where=_key("objective"))
        self._check_several()

    def _check_several(self) -> None:
        """What cannot be had with several objectives."""
        if len(self.objectives) < 2:
            return
        if self.pruner != "none":
            raise ConfigError(
                f"pruner {self.pruner} with {len(self.objectives)} objectives: Optuna prunes by one",
                where=_key("pruner"), fix=f"{_key('pruner')}=none, or one objective",
            )  # fmt: skip
        if self.sampler == "cmaes":
            raise ConfigError(
                f"sampler cmaes with {len(self.objectives)} objectives: it follows one",
                where=_key("sampler"), fix=f"{_key('sampler')}=tpe or nsga2",
            )  # fmt: skip

    def check(self, space: Space) -> list[str]:
        """Lines that a user should know of these settings on this space.

        Raises:
            ConfigError: they do not fit.
        """
        self._check_seeds(len(space.seeds))
        points = space.num_points
        if self.sampler == "grid":
            without_end = [d.name for d in space.dimensions if d.values() is None]
            if without_end:
                raise ConfigError(
                    f"a grid cannot hold the interval of '{without_end[0]}'", where=_key("sampler"),
                    fix=f"list its values: {without_end[0]}=1,2,3 or range(...)",
                )  # fmt: skip
            if points is not None and points > self.n_trials:
                raise ConfigError(
                    f"the grid has {points} points, more than {self.n_trials} trials",
                    where=_key("n_trials"), fix=f"{_key('n_trials')}={points}, or fewer values",
                )  # fmt: skip
        if self.sampler not in NUMBERS_ONLY:
            return []
        at_random = [d.name for d in space.dimensions if d.is_listed]
        if self.sampler == "cmaes" and len(space.dimensions) - len(at_random) < 2:
            raise ConfigError(
                "sampler cmaes needs two intervals or ranges at least", where=_key("sampler"),
                fix=f"{_key('sampler')}=tpe or gp",
            )  # fmt: skip
        if not at_random:
            return []
        names = ", ".join(at_random)
        return [f"sampler {self.sampler} knows only intervals and ranges; drawn at random: {names}"]

    def _check_seeds(self, num_seeds: int) -> None:
        """Pruning by seeds needs several; pruning within a run knows only one."""
        # p is 2**-n at best; pruning after the last seed saves nothing
        least = math.floor(math.log2(1 / P_THRESHOLD)) + 2
        if self.pruner == "wilcoxon" and num_seeds < least:
            raise ConfigError(
                f"pruner wilcoxon compares trials seed by seed: with {max(num_seeds, 1)} it can prune none",
                where=_key("pruner"),
                fix=f"seed={','.join(map(str, range(least)))} or more: each trial runs all of them",
            )  # fmt: skip
        if self.pruner in ("median", "hyperband") and num_seeds > 1:
            raise ConfigError(
                f"pruner {self.pruner} compares single runs, and each trial has {num_seeds} seeds",
                where=_key("pruner"),
                fix=f"{_key('pruner')}=wilcoxon with {least} seeds or more, or one seed",
            )  # fmt: skip


def _key(name: str) -> str:
    return f"hydra.sweeper.{name}"


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"no {name} '{value}'.{nearest(str(value), allowed)}",
            where=_key(name),
            fix=f"one of {', '.join(allowed)}",
        )
