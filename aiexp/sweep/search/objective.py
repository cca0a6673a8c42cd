"""The objective of a search: taken from what the task selects by, and checked before the first job starts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf

from aiexp.config.compose import merge_options
from aiexp.config.composed import Composed
from aiexp.config.hydra_settings import is_hydra_setting
from aiexp.config.loader import chooses
from aiexp.config.objects.address import add_address
from aiexp.config.overrides import parse
from aiexp.config.problem import raise_all
from aiexp.errors import AiexpError, ConfigError, nearest
from aiexp.rundir import judged_by
from aiexp.sweep.grid import targets_of
from aiexp.sweep.place.preload import modules_of
from aiexp.sweep.search.settings import Settings
from aiexp.sweep.search.space import read_space

if TYPE_CHECKING:
    from aiexp.config.folders import ConfDirs

# What a run costs, which a search may minimize as if it were a metric.
COSTS = ("seconds", "peak_memory_bytes", "parameters")
SWEEPER = "hydra_plugins.aiexp.OptunaSweeper"


def complete_search(
    overrides: list[str], first: Composed, dirs: "ConfDirs", preload: list[str]
) -> tuple[list[str], list[str]]:
    """Words that settle the objective of a search, and lines for its user; none for other sweeps.

    Args:
        overrides: As typed.
        first: Config of the first job.
        dirs: The folders searched.
        preload: Modules that the first job imports.

    Raises:
        ConfigError: the settings, the space or the objective are wrong.
        AiexpError: the first job cannot be built.
    """
    node = sweeper_node(overrides, dirs) if may_search(overrides, dirs) else {}
    if node.get("_target_") != SWEEPER:
        return [], []
    errors: list[AiexpError] = []
    space = read_space(parse([o for o in overrides if not is_hydra_setting(o)], errors))
    raise_all(errors)
    objectives, directions = objectives_of(node, first)
    settings = make_settings(node, objectives, directions)
    notes = settings.check(space)
    check_names(settings, evaluated_names(first, preload))
    words = [
        f"hydra.sweeper.objective={_quoted(objectives)}",
        f"hydra.sweeper.direction=[{','.join(directions)}]",
    ]
    return words, notes


def may_search(overrides: list[str], dirs: "ConfDirs") -> bool:
    """Whether a sweeper is chosen anywhere: else composing Hydra's node is saved, a tenth of a second."""
    is_typed = any(o.lstrip("+").startswith("hydra/sweeper") for o in overrides)
    return is_typed or chooses(dirs, "hydra/sweeper")


def sweeper_node(overrides: list[str], dirs: "ConfDirs") -> dict[str, Any]:
    """Hydra's node of the sweeper.

    Raises:
        ConfigError: a setting of the sweeper that does not exist.
    """
    from aiexp.config.explain import explain

    try:
        full = merge_options([o for o in overrides if is_hydra_setting(o)], dirs, {})
    except Exception as error:
        raise explain(error, dirs) from error
    return cast(dict[str, Any], OmegaConf.to_container(full.hydra.sweeper, resolve=True))


def make_settings(node: Mapping[str, Any], objectives: list[str], directions: list[str]) -> Settings:
    """The settings in Hydra's node, with the objective settled."""
    names = ("n_trials", "sampler", "seed", "startup_trials", "pruner", "warmup_evaluations")
    given: dict[str, Any] = {name: node[name] for name in names}
    return Settings(objectives=objectives, directions=directions, **given)


def as_list(value: Any) -> list[str]:
    """A setting that is one word or several."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(v) for v in value]


def objectives_of(node: Mapping[str, Any], first: Composed) -> tuple[list[str], list[str]]:
    """Objectives and directions; what is not given is what the first job selects its best checkpoint by.

    Raises:
        ConfigError: neither is there, or a direction is missing.
    """
    objectives, directions = as_list(node.get("objective")), as_list(node.get("direction"))
    monitor, mode = judged_by.selection(partial(OmegaConf.select, first.config))
    if not objectives and monitor is not None:
        objectives = [monitor]
    if objectives and not directions:
        known: dict[str, str] = {str(monitor): mode} | dict.fromkeys(COSTS, "min")
        unknown = [name for name in objectives if name not in known]
        if unknown:
            wanted = (
                "max" if len(objectives) == 1 else f"[{','.join(known.get(n, 'max') for n in objectives)}]"
            )
            raise ConfigError(
                f"is '{unknown[0]}' to be the largest or the smallest?", where="hydra.sweeper.direction",
                fix=f"hydra.sweeper.direction={wanted}, or min",
            )  # fmt: skip
        directions = [known[name] for name in objectives]
    return objectives, directions


def check_names(settings: Settings, available: list[str]) -> None:
    """Raises `ConfigError` unless every objective is among the metrics that a finished run will have."""
    for name in settings.objectives:
        if name not in available and name not in COSTS:
            raise ConfigError(
                f"no metric '{name}' to search by.{nearest(name, [*available, *COSTS])}",
                where="hydra.sweeper.objective", fix="one of " + ", ".join([*sorted(available), *COSTS]),
            )  # fmt: skip
    [objective, *_] = settings.objectives
    if settings.pruner in ("median", "hyperband") and not objective.startswith("eval/"):
        raise ConfigError(
            f"pruner {settings.pruner} follows '{objective}', which is not known before a run has ended",
            where="hydra.sweeper.objective", fix="a metric of the evaluations, eval/..., or pruner none",
        )  # fmt: skip


def check_metric(name: str, first: Composed, where: str) -> None:
    """Raises `ConfigError` unless runs of a config log a metric; those of training are taken on trust.

    Args:
        name: Its full name.
        first: A run's config.
        where: What names it.
    """
    names = evaluated_names(first, modules_of(targets_of(first)))
    names += [f"best/{judged_by.selection(partial(OmegaConf.select, first.config))[0]}"]
    if name not in names and not name.startswith("train/"):
        raise ConfigError(
            f"no metric '{name}'.{nearest(name, names)}",
            where=where,
            fix="one of " + ", ".join(sorted(names)),
        )


def evaluated_names(first: Composed, preload: list[str]) -> list[str]:
    """Full names of the metrics that a finished run of this config has, found out in a process of its own.

    It is forked from the process that the jobs will be forked from, so that torch is imported only once.

    Raises:
        AiexpError: the job cannot be built or evaluated.
        ConfigError: the process died.
    """
    from aiexp.sweep.place.pool import Pool
    from aiexp.sweep.place.slot import Slot

    config = cast(dict[str, Any], OmegaConf.to_container(first.config, resolve=True))
    pool = Pool([Slot(cores=())], preload=preload, timeout=None, grace=5.0)
    with TemporaryDirectory() as folder:
        log = Path(folder, "probe.log")
        pool.start(0, partial(try_evaluation, config), log)
        ended = []
        try:
            while not ended:
                ended = pool.wait(1.0)
        finally:
            pool.kill()
        has_returned, value = ended[0].message or (False, ended[0].why)
        if isinstance(value, AiexpError):
            raise value
        if not has_returned:
            tail = " ".join(log.read_text(encoding="utf-8", errors="replace").split())[-200:]
            raise ConfigError(
                f"the first job cannot be evaluated: {value} {tail}", where="before the first job",
                fix="aiexp check with the overrides of one job shows where",
            )  # fmt: skip
    return cast(list[str], value)


def try_evaluation(config: dict[str, Any]) -> list[str] | AiexpError:
    """Builds everything and evaluates one batch, in this process."""
    from aiexp.experiment import Experiment

    try:
        experiment = Experiment.of(config)
        splits = [split for split in ("eval", "test") if experiment.sizes[split]]
        names = experiment.try_evaluation(splits[0]).metrics if splits else {}
    except AiexpError as error:
        add_address(error, config, "")
        return error
    short = [name.partition("/")[2] for name in names]
    return [f"{split}/{name}" for split in splits for name in short]


def _quoted(names: list[str]) -> str:
    """A list of texts in Hydra's grammar."""
    return "[" + ",".join("'" + n.replace("\\", "\\\\").replace("'", "\\'") + "'" for n in names) + "]"
