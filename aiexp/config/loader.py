"""Hydra's config loader over aiexp's folders. The one file that builds on Hydra's inner classes (1.3.x)."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import omegaconf._utils
import yaml
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import GroupDefault
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from aiexp.config.folders import ConfDirs

CLUSTERS = ("submitit_local", "submitit_slurm", "ray")  # files of conf/hydra/launcher
_make_loader_class = omegaconf._utils.get_yaml_loader


class Repository(ConfigRepository):
    """Hydra's files, where `override /model: x` means the group `model` from inside any group's file.

    In a file of `conf/task` plain Hydra reads it as the package `task.model`, which no one ever means, so
    such files would have to be `@package _global_` and indent all their content.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The file, with its absolute overrides bound to the top level."""
        with _fast_yaml():
            result = super().load_config(config_path)
        for entry in (result.defaults_list or []) if result is not None else []:
            if isinstance(entry, GroupDefault) and entry.override and entry.package is None:
                group = entry.group or ""
                if group.startswith("/"):
                    entry.package = f"_global_.{group[1:].replace('/', '.')}"
        return result


@contextmanager
def _fast_yaml() -> Generator[None]:
    """OmegaConf's YAML loader on top of libyaml: the same rules, a tenth of the time."""
    slow = omegaconf._utils.get_yaml_loader
    omegaconf._utils.get_yaml_loader = _loader_class
    try:
        yield
    finally:
        omegaconf._utils.get_yaml_loader = slow


@lru_cache(maxsize=1)
def _loader_class() -> Any:
    """OmegaConf's loader class, derived from libyaml's instead of the Python one where there is libyaml."""
    slow = yaml.SafeLoader
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", slow)
    try:
        return _make_loader_class()
    finally:
        yaml.SafeLoader = slow


def make_loader(dirs: ConfDirs) -> ConfigLoaderImpl:
    """A loader that searches the user's folder, then the built-in one, then `--config-dir`."""
    version.setbase("1.3")
    JobRuntime.instance().set("name", "aiexp")
    path: ConfigSearchPath = create_config_search_path(str(dirs.builtin))
    for name in CLUSTERS:  # else Hydra checks our files against what published plugins store by these names
        ConfigStore.instance().repo.get("hydra", {}).get("launcher", {}).pop(f"{name}.yaml", None)
    if dirs.user is not None:
        path.prepend("aiexp-user", f"file://{dirs.user}")
    if dirs.extra is not None:
        schema = path.get_path().pop()  # must stay the last
        path.append("command-line", f"file://{dirs.extra}")
        path.get_path().append(schema)
    loader = ConfigLoaderImpl(path)
    loader.repository = Repository(path)
    return loader


def apply(override: Override, config: DictConfig) -> None:
    """Changes, adds or deletes a key, as Hydra would."""
    ConfigLoaderImpl._apply_overrides_to_config([override], config)  # pyright: ignore[reportPrivateUsage]
