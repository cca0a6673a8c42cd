"""A share of this machine for one job at a time: a group of cores, or GPUs with their share of the cores."""

import os
from dataclasses import dataclass
from typing import final

from aiexp.errors import ConfigError, HardwareError
from aiexp.hardware.hardware import count_gpus


@final
@dataclass(frozen=True, kw_only=True)
class Slot:
    """What a job may use.

    Args:
        cores: Numbers of its cores; `hardware.threads: null` makes as many threads. Empty: all.
        gpu: What CUDA_VISIBLE_DEVICES is set to, "0" or "0,1"; None leaves it.
    """

    cores: tuple[int, ...]
    gpu: str | None = None

    def enter(self) -> None:
        """Confines this process to the slot; call before CUDA starts and before anything counts cores."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu


def make_slots(
    *, n_jobs: int | None, gpus: list[int] | None, use_gpus: bool, num_jobs: int, devices: int = 1
) -> list[Slot]:
    """The slots of a sweep.

    Args:
        n_jobs: Jobs at once; None for as many as there are cores, or GPUs, for.
        gpus: GPUs to use, counted as CUDA counts them; None for all of them where jobs use any.
        use_gpus: Whether jobs run on a GPU where there is one.
        num_jobs: More slots than jobs would leave cores unused.
        devices: GPUs that a job takes, or cores where it uses none.

    Raises:
        ConfigError: fewer than one job at once.
        HardwareError: a GPU that is not there, or fewer than a job takes.
    """
    if n_jobs is not None and n_jobs < 1:
        raise ConfigError(f"n_jobs is {n_jobs}", where="hydra.launcher.n_jobs", fix="at least 1, or null")
    names = _devices(gpus) if gpus is not None or use_gpus else []
    if 0 < len(names) < devices:
        raise HardwareError(
            f"jobs take {devices} GPUs, and {len(names)} are to be used", where="hardware.devices",
            fix=f"hardware.devices={len(names)}, or more hydra.launcher.gpus",
        )  # fmt: skip
    groups_of_gpus = [",".join(names[i : i + devices]) for i in range(0, len(names) - devices + 1, devices)]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    most = len(groups_of_gpus) or (len(cores) or os.cpu_count() or 1) // devices
    count = max(1, min(n_jobs or max(most, 1), num_jobs, len(groups_of_gpus) or num_jobs))
    # Neighbouring cores share a cache; with more jobs than cores some share a core.
    groups = [
        tuple(cores[i * len(cores) // count : (i + 1) * len(cores) // count])
        or tuple(cores[i % len(cores) : i % len(cores) + 1] if cores else ())
        for i in range(count)
    ]
    return [Slot(cores=group, gpu=groups_of_gpus[i] if names else None) for i, group in enumerate(groups)]


def _devices(gpus: list[int] | None) -> list[str]:
    """Names of the chosen GPUs for CUDA_VISIBLE_DEVICES, which may have been set already."""
    count = count_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",")[:count] if visible else [str(i) for i in range(count)]
    if gpus is None:
        return names
    missing = [g for g in gpus if not 0 <= g < count]
    if missing or len(set(gpus)) < len(gpus) or not gpus:
        what = f"no GPU {missing[0]}: this machine has {count}" if missing else f"gpus is {gpus}"
        raise HardwareError(
            what, where="hydra.launcher.gpus", fix="name each GPU once, from 0, or null for all there are"
        )
    return [names[g] for g in gpus]
