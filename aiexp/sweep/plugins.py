"""aiexp's own launcher and sweeper, where Hydra looks for plugins.

Hydra makes only classes that it knows by a name in the package `hydra_plugins`. A real package of that name
would be a second top-level folder; an entry in Hydra's table does the same.
"""

from importlib import import_module

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

PLUGINS = {
    "hydra_plugins.aiexp.LocalLauncher": "aiexp.sweep.launcher",
    "hydra_plugins.aiexp.OptunaSweeper": "aiexp.sweep.sweeper",
}


def register(config: DictConfig) -> None:
    """Makes known to Hydra what its node names, if it is ours."""
    for node in (config.hydra.launcher, config.hydra.sweeper):
        name = str(node.get("_target_"))
        if name in PLUGINS:
            plugin = getattr(import_module(PLUGINS[name]), name.rpartition(".")[2])
            Plugins.instance().class_name_to_class[name] = plugin
