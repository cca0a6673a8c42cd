"""Hydra's config loader over aiexp's folders. The one file that builds on Hydra's inner classes (1.3.x)."""

import site
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import omegaconf._utils
import yaml
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ConfigDefault, GroupDefault, InputDefault
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from aiexp.config.folders import PRIMARY, ConfDirs
from aiexp.config.group.several import TARGETS, listed, listed_name

CLUSTERS = ("submitit_local", "submitit_slurm", "ray")  # files of conf/hydra/launcher
_make_loader_class = omegaconf._utils.get_yaml_loader


class Repository(ConfigRepository):
    """Hydra's files, where `override /model: x` means the group `model` from inside any group's file.

    In a file of `conf/task` plain Hydra reads it as the package `task.model`, which no one ever means, so
    such files would have to be `@package _global_` and indent all their content.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The file, with its absolute overrides bound to the top level."""
        group, _, name = config_path.partition("/")
        if group in TARGETS and (options := listed(name)):
            return _file_of_several(group, options)
        with _fast_yaml():
            result = super().load_config(config_path)
        for entry in (result.defaults_list or []) if result is not None else []:
            if not isinstance(entry, GroupDefault):
                continue
            group = entry.group or ""
            if isinstance(entry.value, list) and group.lstrip("/") in TARGETS:
                entry.value = listed_name(entry.value)
            if entry.override and entry.package is None and group.startswith("/"):
                entry.package = f"_global_.{group[1:].replace('/', '.')}"
        return result


class Loader(ConfigLoaderImpl):
    """Hydra's loader, to which the choice of several options is one choice."""

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, repository = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        for override in parsed:
            if override.key_or_group in TARGETS and isinstance(override.value(), list):
                override._value = listed_name(cast(list[str], override.value()))  # pyright: ignore[reportPrivateUsage]
        return parsed, repository


def _file_of_several(group: str, options: list[str]) -> ConfigResult:
    """The file that stands for several options of a group, each in a block of its own."""
    defaults: list[InputDefault] = [ConfigDefault(path="_self_")]
    defaults += [ConfigDefault(path=option, package=option) for option in options]
    content = OmegaConf.create({"_target_": TARGETS[group]})
    return ConfigResult(
        provider="aiexp", path="", config=content, header={"package": None}, defaults_list=defaults
    )


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


def find_plugins() -> None:
    """Gives Hydra the plug-ins of installed distributions and no others.

    It imports every module of the namespace `hydra_plugins` before it reads a config, wherever `sys.path`
    leads: the package made here spans the folders that pip installs into.
    """
    places = [*site.getsitepackages(), site.getusersitepackages()]
    package = sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))
    package.__path__ = [str(p) for place in places if (p := Path(place, "hydra_plugins")).is_dir()]


def make_loader(dirs: ConfDirs) -> ConfigLoaderImpl:
    """A loader that searches the user's folder, then the built-in one, then `--config-dir`."""
    find_plugins()
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
    loader = Loader(path)
    loader.repository = Repository(path)
    return loader


def chooses(dirs: ConfDirs, group: str) -> bool:
    """Whether the defaults list of the user's primary file names an option of a group, as Hydra reads it."""
    entries = user_primary(dirs).defaults_list or []
    return any(isinstance(entry, GroupDefault) and entry.group == group for entry in entries)


def user_primary(dirs: ConfDirs) -> ConfigResult:
    """The user's own primary file as Hydra reads it, empty if there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    from aiexp.config.explain import explain

    try:
        own = dirs.user and _read_primary(dirs.user, (dirs.user / f"{PRIMARY}.yaml").stat().st_mtime_ns)
    except FileNotFoundError:
        own = None
    except Exception as error:
        raise explain(error, dirs) from error
    return own or ConfigResult(provider="", path="", config=OmegaConf.create(), header={})


@lru_cache(maxsize=1)
def _read_primary(folder: Path, changed: int) -> ConfigResult | None:
    """The primary file in a folder; `changed` is its time of change, so that an edited file is read again."""
    return make_loader(ConfDirs(user=None, builtin=folder)).repository.load_config(PRIMARY)


def apply(override: Override, config: DictConfig) -> None:
    """Changes, adds or deletes a key, as Hydra would."""
    ConfigLoaderImpl._apply_overrides_to_config([override], config)  # pyright: ignore[reportPrivateUsage]
