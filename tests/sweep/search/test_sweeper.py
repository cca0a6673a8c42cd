"""Hydra's own suite for sweepers, on `hydra/sweeper=optuna`, and what it adds to Hydra's config.

Of `hydra.test_utils.launcher_common_tests` one class is about sweepers, BatchedSweeperTestSuite. It passes
with sampler=grid, the only one that is to give Hydra's grid in Hydra's order; its task returns nothing, which
makes every trial a failed one, and a search goes on after those.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite
from hydra.test_utils.test_utils import TSweepRunner

from aiexp.sweep.search.sweeper import OptunaSweeper

NAME = "hydra_plugins.aiexp.OptunaSweeper"
CONF = Path(__file__).parents[3] / "conf/hydra/sweeper/optuna.yaml"
OBJECTIVE = ["hydra.sweeper.objective=x", "hydra.sweeper.direction=min"]


@pytest.fixture(autouse=True)
def _registered(hydra_restore_singletons: Any) -> None:
    """The plugin where Hydra looks for it, outside aiexp's own folders."""
    Plugins.instance().class_name_to_class[NAME] = OptunaSweeper
    node = yaml.safe_load(CONF.read_text())
    ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=node, provider="aiexp")


@pytest.mark.parametrize("launcher_name", ["basic"])
@pytest.mark.parametrize(
    "overrides",
    [["hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_jobs=2", *OBJECTIVE]],
)
@pytest.mark.filterwarnings("ignore:Future Hydra versions:UserWarning")
class TestOptunaSweeper(BatchedSweeperTestSuite):
    """Three batches of two jobs."""


def run(runner: TSweepRunner, folder: Path, *overrides: str) -> Any:
    return runner(
        calling_file=None,
        calling_module="hydra.test_utils.a_module",
        task_function=None,
        config_path="configs",
        config_name="compose.yaml",
        overrides=["hydra/sweeper=optuna", "hydra/launcher=basic", *overrides],
        temp_dir=folder,
    )


@pytest.mark.filterwarnings("ignore:Future Hydra versions:UserWarning")
def test_the_search_finds_intervals_where_hydra_has_its_grid(
    hydra_sweep_runner: TSweepRunner, tmp_path: Path
) -> None:
    words = ["bar=int(interval(1,9))", "group1=file1,file2", "hydra.sweeper.n_trials=5", *OBJECTIVE]
    with run(hydra_sweep_runner, tmp_path, *words) as sweep:
        returns = [r for batch in sweep.returns for r in batch]
        assert [r.hydra_cfg.hydra.job.num for r in returns] == [0, 1, 2, 3, 4]
        assert all(1 <= r.cfg.bar <= 9 for r in returns)


def test_without_an_objective_it_says_so(hydra_sweep_runner: TSweepRunner, tmp_path: Path) -> None:
    sweep = run(hydra_sweep_runner, tmp_path, "bar=1,2")
    with pytest.raises(InstantiationException, match="needs an objective"), sweep:
        pass
