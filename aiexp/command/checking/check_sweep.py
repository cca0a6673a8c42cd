"""`aiexp check -m`: every job of a sweep composed and listed, and the time of each and of the whole.

A few steps are measured once for each combination of groups, with the threads that a job would get. Time is
taken to grow with each device's share of the batch, so that jobs which differ in keys alone need no
measurement of their own.
"""

import heapq
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aiexp.command.checking.bill import Bill, check, say
from aiexp.sweep.grid import PlannedJob, devices_of
from aiexp.sweep.hydra_sweep import HydraSweep
from aiexp.sweep.sweep import prepare_sweep
from aiexp.text.number import duration


def check_sweep_jobs(overrides: list[str], *, config_dir: str | None) -> dict[str, Any]:
    """Prints the jobs and what they would take; returns the numbers or raises what the sweep would.

    Args:
        overrides: As typed.
        config_dir: Value of `--config-dir`.
    """
    words, job, first = prepare_sweep(overrides, config_dir, resume=False)
    sweep = HydraSweep(words, job, first)
    planned = sweep.planned or [PlannedJob(index=0, overrides=words, composed=first)]
    trials = OmegaConf.select(sweep.config, "hydra.sweeper.n_trials")
    num_jobs = len(sweep.planned) or int(trials or 1)
    say("config", f"valid: every key, type and target of {num_jobs} jobs")
    slots = sweep.slots(num_jobs)
    slots[0].enter()
    bills: dict[tuple[tuple[str, str], ...], tuple[Bill, DictConfig]] = {}
    seconds: list[float] = []
    devices = [devices_of(p.composed) for p in planned]
    probed: dict[tuple[tuple[str, str], ...], int] = {}  # devices of the job that was measured
    for p, count in zip(planned, devices, strict=True):
        choices = tuple(p.composed.choices.items())
        if choices not in bills:
            varying = {name.partition("@")[0] for name in job.names} & set(p.composed.choices)
            named = " ".join(f"{g}={p.composed.choices[g]}" for g in sorted(varying))
            say("probe", named or "one for all jobs: they differ in keys alone")
            bills[choices] = (check(p.composed.config, nodes=sweep.nodes), p.composed.config)
            probed[choices] = count
        seconds.append(estimate(p.composed.config, *bills[choices]) * probed[choices] / count)
    for p, taken in zip(planned, seconds, strict=True):
        say(f"job {p.index}", f"{duration(taken):>8}  {' '.join(job.own(p.overrides))}")
    if not sweep.planned:
        seconds, devices = seconds * num_jobs, devices * num_jobs
    total = whole(seconds, len(slots))
    side = f"{len(slots)} at once" if len(slots) > 1 else "one after the other"
    hours = sum(taken * count for taken, count in zip(seconds, devices, strict=True)) * sweep.nodes / 3600
    taken = f", {hours:.2g} device-hours" if max(devices) * sweep.nodes > 1 else ""
    say("sweep", f"{num_jobs} jobs, {side}: about {duration(total)}{taken}, evaluations besides")
    jobs = [
        {"index": p.index, "overrides": job.own(p.overrides), "seconds": taken}
        for p, taken in zip(planned, seconds, strict=False)
    ]
    return {"jobs": jobs, "at_once": len(slots), "seconds": total}


def estimate(config: DictConfig, bill: Bill, probed: DictConfig) -> float:
    """Seconds of a job's steps.

    Args:
        config: The job's.
        bill: Measured with the same groups.
        probed: The config it was measured with.
    """

    def value(node: DictConfig, key: str, otherwise: float) -> Any:
        found = OmegaConf.select(node, key)
        return found if isinstance(found, int | float) and found else otherwise

    def batch(node: DictConfig) -> float:
        return value(node, "dataset.batch_size", 1) * value(node, "trainer.accumulate", 1)

    steps = value(config, "trainer.steps", 0)
    if not steps:
        epochs = value(config, "trainer.epochs", 1) / value(probed, "trainer.epochs", 1)
        steps = bill.total_steps * epochs * batch(probed) / batch(config)
    return steps * bill.step_seconds * batch(config) / batch(probed)


def whole(seconds: list[float], num_slots: int) -> float:
    """When the last job ends, each starting as soon as a slot is free."""
    free = [0.0] * num_slots
    for taken in seconds:
        heapq.heapreplace(free, free[0] + taken)
    return max(free)
