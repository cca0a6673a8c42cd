"""`hydra/launcher=submitit_slurm`, `submitit_local` and `ray`: the jobs of a sweep on other machines.

Each finds its run directory in the ledger, so the machines must share the folder of the sweep.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any, cast, final

from omegaconf import DictConfig, OmegaConf

from aiexp.errors import ConfigError
from aiexp.sweep.job import SweepJob
from aiexp.sweep.place.ray_places import Machine, RayPlaces
from aiexp.sweep.place.stream_launcher import Places, StreamLauncher
from aiexp.sweep.place.submitit_places import SubmititPlaces


class ClusterLauncher(StreamLauncher):
    """A launcher whose jobs run somewhere else.

    Args:
        n_jobs: Jobs at once, those that wait for a machine too.
        max_failures: No new job starts after so many have failed; None for any number.
        nodes: Machines that train a job together, each with hardware.devices.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, *, n_jobs: int, max_failures: int | None, nodes: int) -> None:
        for name, value in {"n_jobs": n_jobs, "max_failures": max_failures, "nodes": nodes}.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", where=f"hydra.launcher.{name}", fix="1 or more")
        self.n_jobs, self.max_failures, self.nodes = n_jobs, max_failures, nodes
        self._places: Places | None = None

    @abstractmethod
    def connect(self) -> Places:
        """Connects to the cluster."""

    def check(self) -> None:
        """Raises `HardwareError` if there is no cluster."""
        self._places = self.connect()

    def num_gpus(self, given: float | None, name: str) -> float | None:
        """GPUs of a job: as given, or as many as it takes if it takes several.

        Raises:
            ConfigError: these are fewer than it takes.
        """
        needed = self.num_devices if OmegaConf.select(self.config, "hardware.device") != "cpu" else 1
        if needed > 1 and 0 < (given or 0) < needed:
            raise ConfigError(
                f"jobs take {needed} devices and are given {given:g} GPUs", where=f"hydra.launcher.{name}",
                fix=f"hydra.launcher.{name}={needed}, or null where it is not given",
            )  # fmt: skip
        return given or (needed if needed > 1 else given)

    def num_slots(self, num_jobs: int | None) -> int:
        """How many of so many jobs run at once."""
        return min(self.n_jobs, num_jobs or self.n_jobs)

    def make_places(self, num_jobs: int | None, job: SweepJob | None) -> Places:
        """The cluster."""
        return self._places or self.connect()


@final
class SubmititLauncher(ClusterLauncher):
    """Jobs by submitit.

    Args:
        cluster: slurm, or local to try it on this machine.
        n_jobs: See `ClusterLauncher`.
        max_failures: See `ClusterLauncher`.
        parameters: Of submitit, by its own names; null leaves one out.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self, *, cluster: str, n_jobs: int, max_failures: int | None, parameters: DictConfig
    ) -> None:
        self.cluster = cluster
        self.parameters = cast(dict[str, Any], OmegaConf.to_container(parameters, resolve=True))
        nodes = self.parameters.get("nodes") or 1
        super().__init__(n_jobs=n_jobs, max_failures=max_failures, nodes=nodes)

    def connect(self) -> Places:
        """The scheduler.

        Raises:
            ConfigError: jobs take more GPUs than they are given.
        """
        folder = Path(str(self.config.hydra.sweep.dir), ".submitit", "%j")
        given = self.parameters.get("gpus_per_node")
        parameters = self.parameters | {"gpus_per_node": self.num_gpus(given, "parameters.gpus_per_node")}
        return SubmititPlaces(folder, cluster=self.cluster, n_jobs=self.n_jobs, parameters=parameters)


@final
class RayLauncher(ClusterLauncher):
    """Jobs by Ray.

    Args:
        address: Of the cluster.
        n_jobs: See `ClusterLauncher`.
        max_failures: See `ClusterLauncher`.
        cpus: Cores a job.
        gpus: GPUs a job.
        nodes: Machines a job, each with so many cores and GPUs.
        restarts: How often a job whose machine died is started again.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        *,
        address: str,
        n_jobs: int,
        max_failures: int | None,
        cpus: float,
        gpus: float,
        nodes: int,
        restarts: int,
    ) -> None:
        super().__init__(n_jobs=n_jobs, max_failures=max_failures, nodes=nodes)
        self.address, self.cpus, self.gpus, self.restarts = address, cpus, gpus, restarts

    def connect(self) -> Places:
        """Ray.

        Raises:
            ConfigError: jobs take more GPUs than they are given.
        """
        gpus = self.num_gpus(self.gpus, "gpus") or 0
        folder = Path(str(self.config.hydra.sweep.dir), ".nodes")
        machine = Machine(cpus=self.cpus, gpus=gpus, count=self.nodes, meetings=folder.absolute())
        return RayPlaces(address=self.address, n_jobs=self.n_jobs, machine=machine, restarts=self.restarts)
