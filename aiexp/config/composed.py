"""A composed config, and what composing and checking both need to read one."""

import os
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from aiexp.config.folders import GROUPS
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.errors import SecurityError


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A checked config and how it came about.

    Args:
        config: Groups `model dataset task trainer hardware tracker`, `seed`, `outputs`; not resolved.
        choices: The option each group got: {"task": "bert_finetune", ...}; groups set to null are left out.
        overrides: What was typed, without Hydra's own settings.
    """

    config: DictConfig
    choices: dict[str, str]
    overrides: list[str]


def prepare() -> None:
    """Enters the working directory, closes the resolvers, ignores switched-off checks."""
    WORKING_DIRECTORY.enter()
    # Hydra's own switch to allow more targets; aiexp's list is the only one.
    os.environ.pop("HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE", None)
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def without_hydra(full: DictConfig) -> DictConfig:
    """The config without Hydra's node."""
    with open_dict(full):
        del full["hydra"]
    return full


def choices_of(full: DictConfig) -> dict[str, str]:
    """Group to chosen option, of aiexp's and the user's groups."""
    chosen: dict[str, Any] = {str(k): v for k, v in full.hydra.runtime.choices.items()}
    order = [*GROUPS, *(k for k in chosen if k not in GROUPS)]
    return {k: str(chosen[k]) for k in order if chosen.get(k) is not None and not k.startswith("hydra/")}


def _environment(name: str, default: Any = None) -> Any:
    """`${oc.env:NAME}` for aiexp's own variables only: a config from elsewhere must not read secrets."""
    if not name.startswith("AIEXP_"):
        raise SecurityError(
            f"${{oc.env:{name}}} is refused: a config may read only environment variables named AIEXP_...",
            fix=f"export AIEXP_{name} and name that, or give the value on the command line",
        )
    value = os.environ.get(name, default)
    if value is None:
        raise KeyError(f"environment variable '{name}' is not set")
    return value
