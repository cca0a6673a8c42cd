"""aiexp's own launcher and sweeper, where Hydra looks for plugins.

Hydra makes only classes that it knows by a name in the package `hydra_plugins`. A real package of that name
would be a second top-level folder; an entry in Hydra's table does the same.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aiexp.config.compose import merge_options
from aiexp.config.explain import explain
from aiexp.config.folders import ConfDirs
from aiexp.errors import ConfigError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

PLUGINS = {
    "hydra_plugins.aiexp.LocalLauncher": "aiexp.sweep.place.launcher",
    "hydra_plugins.aiexp.OptunaSweeper": "aiexp.sweep.search.sweeper",
    "hydra_plugins.aiexp.RayLauncher": "aiexp.sweep.place.cluster_launcher",
    "hydra_plugins.aiexp.SubmititLauncher": "aiexp.sweep.place.cluster_launcher",
}


def register(config: "DictConfig") -> None:
    """Makes known to Hydra what its node names, if it is ours."""
    from hydra.core.plugins import Plugins

    for node in (config.hydra.launcher, config.hydra.sweeper):
        name = str(node.get("_target_"))
        if name in PLUGINS:
            plugin = getattr(import_module(PLUGINS[name]), name.rpartition(".")[2])
            Plugins.instance().class_name_to_class[name] = plugin


def check_settings(overrides: list[str], dirs: ConfDirs) -> None:
    """Refuses settings that the chosen launcher or sweeper does not have.

    Raises:
        ConfigError: no such launcher, sweeper or setting.
    """
    typed = [(o, *o.lstrip("+~").partition("=")[0].split(".")) for o in overrides]
    settings = [words for words in typed if words[1:2] == ("hydra",) and len(words) > 3]
    if not settings:
        return
    chosen = [o for o in overrides if o.startswith("hydra/")]
    try:
        node = merge_options(chosen, dirs, {}).hydra
    except Exception as error:
        raise explain(error, dirs) from error
    for text, _, kind, name, *_ in settings:
        known = [str(k) for k in node.get(kind) or {} if not str(k).startswith("_")]
        if name not in known and not text.startswith("+"):
            what = f"hydra/{kind}={node.runtime.choices[f'hydra/{kind}']} has no setting '{name}'."
            fix = f"settings are {' '.join(known)}"
            raise ConfigError(what + nearest(name, known), where=f"command line: {text}", fix=fix)
