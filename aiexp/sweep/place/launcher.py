"""`hydra/launcher=local`: the jobs of a sweep on this machine, every one in a process of its own.

Hydra finds it as `hydra_plugins.aiexp.LocalLauncher` (see aiexp.sweep.plugins).
"""

from typing import final

from omegaconf import OmegaConf

from aiexp.errors import ConfigError
from aiexp.sweep.job import SweepJob
from aiexp.sweep.place.pool import Pool
from aiexp.sweep.place.slot import Slot, make_slots
from aiexp.sweep.place.stream_launcher import StreamLauncher

UNKNOWN = 1_000_000  # jobs, where a sweeper thinks of them one after the other


@final
class LocalLauncher(StreamLauncher):
    """Runs jobs side by side; a job that fails, crashes or hangs never touches another.

    Args:
        n_jobs: Jobs at once; None for one a core, or one a GPU where they use GPUs; with hardware.devices=2
            jobs take two of them.
        gpus: GPUs to use, counted as CUDA counts them; None for all of them where jobs use any.
        max_failures: No new job starts after so many have failed; None for any number.
        timeout: Seconds a job may take before it is stopped, which counts as failed; None for any time.
        grace: Seconds a job gets to save a checkpoint when it is stopped.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        *,
        n_jobs: int | None,
        gpus: list[int] | None,
        max_failures: int | None,
        timeout: float | None,
        grace: float,
    ) -> None:
        for name, value in {"n_jobs": n_jobs, "max_failures": max_failures, "timeout": timeout}.items():
            is_number = isinstance(value, int if name != "timeout" else int | float)  # what Hydra was given
            if value is not None and (not is_number or value <= 0):
                what, where = f"{name} is {value!r}", f"hydra.launcher.{name}"
                raise ConfigError(what, where=where, fix="a number above 0, or null")
        self.n_jobs, self.gpus = n_jobs, None if gpus is None else list(gpus)
        self.max_failures, self.timeout, self.grace = max_failures, timeout, grace

    def check(self) -> None:
        """Raises `HardwareError` for a GPU that is not there."""
        self.slots(1)

    def num_slots(self, num_jobs: int | None) -> int:
        """How many of so many jobs run at once."""
        return len(self.slots(num_jobs or UNKNOWN))

    def make_places(self, num_jobs: int | None, job: SweepJob | None) -> Pool:
        """Processes of this machine."""
        slots = self.slots(num_jobs or UNKNOWN)
        return Pool(slots, preload=job.preload() if job else [], timeout=self.timeout, grace=self.grace)

    def slots(self, num_jobs: int) -> list[Slot]:
        """The shares of this machine that so many jobs would be run in."""
        device = OmegaConf.select(self.config, "hardware.device")
        return make_slots(
            n_jobs=self.n_jobs, gpus=self.gpus, use_gpus=device in ("auto", "gpu"), num_jobs=num_jobs,
            devices=self.num_devices,
        )  # fmt: skip
