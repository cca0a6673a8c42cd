"""A run without torch, for tests of sweeps: steps, metrics and checkpoints that survive what runs survive.

As `sitecustomize` of every Python process of a test it stands in the place of aiexp.run.
"""

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

SECONDS = 0.02  # a step


def run(composed: Any, job: Any = None) -> int:
    """Trains nothing: `trainer.steps` lines of metrics, a checkpoint after every second one."""
    from aiexp.errors import Stopped
    from aiexp.rundir.directory import RunDirectory

    seed, steps = int(composed.config.seed), int(composed.config.trainer.steps)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    directory = RunDirectory.at(job.directory)
    directory.write_config({"seed": seed}, composed.choices, list(job.overrides))
    directory.write_status(state="running", total_steps=steps, pid=os.getpid())
    lock = directory.lock()
    print(f"seed {seed} on cores {sorted(os.sched_getaffinity(0))}", flush=True)
    misbehave(seed, directory, job.sweep_dir)
    path, saved = directory.path / "metrics.jsonl", directory.path / "saved.json"
    state = json.loads(saved.read_text()) if saved.exists() else {"step": 0, "value": seed, "starts": 0}
    lines = path.read_text().splitlines()[: state["step"]] if path.exists() else []
    path.write_text("".join(f"{line}\n" for line in lines))

    def save() -> None:
        temporary = saved.with_suffix(".tmp")
        temporary.write_text(json.dumps(state))
        temporary.replace(saved)

    while state["step"] < steps:
        time.sleep(SECONDS)
        state["step"] += 1
        state["value"] = (state["value"] * 31 + state["step"]) % 1009
        with path.open("a") as file:
            file.write(json.dumps({"step": state["step"], "eval/loss": state["value"]}) + "\n")
        if asked or state["step"] % 2 == 0:
            save()
        if asked:
            directory.write_status(state="stopped", exit_code=143)
            raise Stopped(f"stopped, step {state['step']} is saved", exit_code=143, fix="resume")
    directory.write_status(state="finished", exit_code=0, metrics={"eval/loss": state["value"]})
    lock.close()
    return 0


def misbehave(seed: int, directory: Any, sweep_dir: Path) -> None:
    """What a few seeds do instead of training."""
    from aiexp.errors import MemoryFullError

    if seed == 101:
        raise RuntimeError("boom")
    if seed == 102:
        sys.exit(3)
    if seed == 103:
        os.kill(os.getpid(), signal.SIGSEGV)
    if seed == 104:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 105:
        time.sleep(1000)
    if seed == 106:
        directory.write_status(state="failed")
        raise MemoryFullError("out of memory: 9 GiB", fix="halve it")
    if seed == 107:  # leaves two processes behind, in sessions of their own; the second has lost its parent
        for command in (["sleep", "1000"], ["sh", "-c", "setsid sleep 1000 & echo $!"]):
            child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
            number = child.pid if command[0] == "sleep" else int(child.stdout.readline())  # type: ignore
            with (sweep_dir / "left.txt").open("a") as file:
                file.write(f"{number}\n")


def results(sweep: Path) -> dict[int, list[str]]:
    """For each job of a sweep the metrics of its only run directory."""
    found: dict[int, list[str]] = {}
    for path in sweep.glob("*/metrics.jsonl"):
        index = int(path.parent.name.split("_")[2])
        assert index not in found, f"job {index} has two run directories"
        found[index] = path.read_text().splitlines()
    return found


stub = types.ModuleType("aiexp.run")
stub.run = stub.train = run  # type: ignore[attr-defined]
if __name__ == "sitecustomize":
    sys.modules["aiexp.run"] = stub
