"""Hydra's own suite for launchers, on ours.

None of its tests is left out. The batched one is about the basic sweeper's `max_batch_size`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from omegaconf import DictConfig, OmegaConf

from aiexp.config.folders import builtin_dirs
from aiexp.errors import AiexpError
from aiexp.sweep.place.launcher import LocalLauncher

NAME = "hydra_plugins.aiexp.LocalLauncher"
# What `aiexp` does for itself, for the suite's programs, which know only Hydra.
REGISTER = "from tests.sweep.place.test_launcher import register; register()"


def register() -> None:
    options = OmegaConf.load(builtin_dirs().builtin / "hydra/launcher/local.yaml")
    ConfigStore.instance().store(group="hydra/launcher", name="local", node=options, provider="aiexp")
    Plugins.instance().class_name_to_class[NAME] = LocalLauncher


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register()
    yield
    Plugins.instance().class_name_to_class.pop(NAME, None)  # the suite may have put Hydra's state back
    ConfigStore.instance().repo["hydra"]["launcher"].pop("local.yaml", None)


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", [])])
class TestLocalLauncher(LauncherTestSuite):
    """Jobs of the suite's own programs, in processes forked from one server."""


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", ["hydra.sweeper.max_batch_size=2"])])
class TestLocalLauncherBatched(BatchedSweeperTestSuite):
    """Several calls of `launch` in one sweep."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({"defaults": [{"override hydra/launcher": "local"}]}, ["-m"])],
)
class TestLocalLauncherIntegration(IntegrationTestSuite):
    """Programs of the suite run as commands: 12 interpreters, 12 forkservers."""

    @pytest.fixture(autouse=True)
    def _as_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "sitecustomize.py").write_text(REGISTER)
        root = Path(__file__).parents[3]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(root)]))


@pytest.mark.parametrize(
    "setting",
    [{"n_jobs": 0}, {"n_jobs": "two"}, {"timeout": -1}, {"max_failures": 0}, {"gpus": [7]}, {"gpus": []}],
)
def test_settings_are_checked_when_the_launcher_is_made(setting: dict[str, object]) -> None:
    given: dict[str, object] = {
        "n_jobs": None,
        "gpus": None,
        "max_failures": None,
        "timeout": None,
        "grace": 1,
    }
    with pytest.raises(AiexpError, match=next(iter(setting))):
        LocalLauncher(**(given | setting)).setup(  # type: ignore[arg-type]
            hydra_context=None,
            task_function=None,
            config=DictConfig({}),  # type: ignore[arg-type]
        )
