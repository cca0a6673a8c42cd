"""Hydra's config loader over aiexp's folders. The one file that builds on Hydra's inner classes (1.3.x)."""

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import GroupDefault
from hydra.core.utils import JobRuntime
from hydra.plugins.config_source import ConfigResult

from aiexp.config.conf_dir import ConfDirs


class Repository(ConfigRepository):
    """Hydra's files, where `override /model: x` means the group `model` from inside any group's file.

    In a file of `conf/task` plain Hydra reads it as the package `task.model`, which no one ever means, so
    such files would have to be `@package _global_` and indent all their content.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The file, with its absolute overrides bound to the top level."""
        result = super().load_config(config_path)
        for entry in (result.defaults_list or []) if result is not None else []:
            if isinstance(entry, GroupDefault) and entry.override and entry.package is None:
                group = entry.group or ""
                if group.startswith("/"):
                    entry.package = f"_global_.{group[1:].replace('/', '.')}"
        return result


def make_loader(dirs: ConfDirs) -> ConfigLoaderImpl:
    """A loader that searches the user's folder, then the built-in one, then `--config-dir`."""
    version.setbase("1.3")
    JobRuntime.instance().set("name", "aiexp")
    path: ConfigSearchPath = create_config_search_path(str(dirs.builtin))
    if dirs.user is not None:
        path.prepend("aiexp-user", f"file://{dirs.user}")
    if dirs.extra is not None:
        path.append("command-line", f"file://{dirs.extra}")
    loader = ConfigLoaderImpl(path)
    loader.repository = Repository(path)
    return loader
