"""A share of this machine for one job at a time: a group of cores, or a GPU with its share of the cores."""

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
        gpu: What CUDA_VISIBLE_DEVICES is set to; None leaves it.
    """

    cores: tuple[int, ...]
    gpu: str | None = None

    def enter(self) -> None:
        """Confines this process to the slot; call before CUDA starts and before anything counts cores."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu


def make_slots(*, n_jobs: int | None, gpus: list[int] | None, use_gpus: bool, num_jobs: int) -> list[Slot]:
    """The slots of a sweep.

    Args:
        n_jobs: Jobs at once; None for one a core, or one a GPU.
        gpus: GPUs to use, counted as CUDA counts them; None for all of them where jobs use any.
        use_gpus: Whether jobs run on a GPU where there is one.
        num_jobs: More slots than jobs would leave cores unused.

    Raises:
        ConfigError: fewer than one job at once.
        HardwareError: a GPU that is not there.
    """
    if n_jobs is not None and n_jobs < 1:
        raise ConfigError(f"n_jobs is {n_jobs}", where="hydra.launcher.n_jobs", fix="at least 1, or null")
    devices = _devices(gpus) if gpus is not None or use_gpus else []
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    most = len(devices) or len(cores) or os.cpu_count() or 1
    count = max(1, min(n_jobs or most, num_jobs, len(devices) or num_jobs))
    # Neighbouring cores share a cache; with more jobs than cores some share a core.
    groups = [
        tuple(cores[i * len(cores) // count : (i + 1) * len(cores) // count])
        or tuple(cores[i % len(cores) : i % len(cores) + 1] if cores else ())
        for i in range(count)
    ]
    return [Slot(cores=group, gpu=devices[i] if devices else None) for i, group in enumerate(groups)]


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
