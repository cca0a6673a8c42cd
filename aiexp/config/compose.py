"""Composing one job's config with Hydra, from a list of overrides to a checked config."""

import copy

from omegaconf import DictConfig, OmegaConf

from aiexp.config.composed import Composed, choices_of, prepare
from aiexp.config.fitting import check_fields
from aiexp.config.folders import PRIMARY, ConfDirs, conf_dirs, shown
from aiexp.config.group.block_groups import addressed, check_block, place
from aiexp.config.hydra_settings import check_override, is_hydra_setting
from aiexp.config.problem import raise_all
from aiexp.config.start import shorten, spelled_out
from aiexp.errors import AiexpError, SecurityError

Merged = dict[tuple[str, ...], DictConfig]


def compose(overrides: list[str], *, config_dir: str | None = None, merged: Merged | None = None) -> Composed:
    """The config of one job, with everything that can be known before importing torch checked.

    Args:
        overrides: As typed: `task=bert_finetune`, `trainer.steps=10`, `+task.x=1`, `~task.y`.
        config_dir: One more folder of options.
        merged: Options merged by earlier calls, for a sweep: the same choices are not merged twice.

    Raises:
        ConfigErrors: every problem found, one line each.
        SecurityError: a target, resolver or Hydra setting is refused.
    """
    from aiexp.config.explain import explain
    from aiexp.config.loader import apply
    from aiexp.config.overrides import key_fits, parse, split
    from aiexp.config.validate import check_composed

    dirs = conf_dirs(config_dir)
    prepare()
    overrides = [addressed(o) for o in overrides]
    check_hydra_settings(overrides, dirs)
    errors: list[AiexpError] = []
    groups, keys = split(parse([spelled_out(o) for o in overrides], errors, dirs), dirs, errors)
    try:
        full = merge_options(groups, dirs, {} if merged is None else merged)
        place(full)
        check_fields(full, choices_of(full), overrides)
    except Exception as error:
        errors.append(explain(error, dirs))
        raise_all(errors)
        raise
    for override in keys:
        # The options are merged once; keys are put in one by one, so that each problem has its word.
        if key_fits(override, full, errors):
            try:
                check_block(override.key_or_group, override.value(), override.input_line or "")
                apply(override, full)
            except Exception as error:
                errors.append(explain(error, dirs, where=f"command line: {override.input_line}"))
    shorten(full)
    typed = [o for o in overrides if not is_hydra_setting(o)]
    composed, more = check_composed(full, typed, dirs)
    raise_all(errors + more)
    return composed


def merge_options(groups: list[str], dirs: ConfDirs, merged: Merged) -> DictConfig:
    """The files of the chosen options merged by Hydra, with Hydra's own node."""
    from hydra.types import RunMode

    from aiexp.config.loader import make_loader

    key = tuple(groups)
    if key not in merged:
        merged[key] = make_loader(dirs).load_configuration(PRIMARY, groups, run_mode=RunMode.RUN)
    return copy.deepcopy(merged[key])


def check_hydra_settings(overrides: list[str], dirs: ConfDirs) -> None:
    """Refuses settings that make Hydra import or run something while it composes.

    Raises:
        SecurityError: a refused setting on the command line, or a search path in the user's primary file.
        ConfigErrors: a setting that aiexp makes itself.
    """
    from aiexp.config.loader import user_primary

    problems = [(p, o) for o in overrides if (p := check_override(o))]
    raise_all([p.error(f"command line: {text}") for p, text in problems])
    if dirs.user and OmegaConf.select(user_primary(dirs).config, "hydra.searchpath"):
        own = shown(dirs.user / f"{PRIMARY}.yaml")
        raise SecurityError("'hydra.searchpath' is refused", where=own, fix="use AIEXP_CONF or --config-dir")


def shadow_notes(composed: Composed, dirs: ConfDirs) -> list[str]:
    """A line for each chosen option, and the primary file, that replaces a built-in one."""
    options = dirs.options()
    chosen = [options.get(g.split("@")[0], {}).get(name) for g, name in composed.choices.items()]
    notes = [
        f"{shown(o.path)} replaces aiexp's own {o.group}={o.name}"
        for o in chosen
        if o and o.is_user and o.shadows
    ]
    if dirs.user is not None and (dirs.user / f"{PRIMARY}.yaml").is_file():
        notes.insert(0, f"{shown(dirs.user / f'{PRIMARY}.yaml')} replaces aiexp's own defaults")
    return notes
