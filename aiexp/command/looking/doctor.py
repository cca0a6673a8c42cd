"""`aiexp doctor [RUN]`: is this machine, or this run directory, healthy? Imports no torch."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from aiexp.checkpoint.manifest import saved_steps, verify, verify_state
from aiexp.command.flags import FORMAT, Flags
from aiexp.errors import AiexpError, CheckpointError, HardwareError, StorageError
from aiexp.hardware.hardware import count_gpus, cpu_flags, cpu_name
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, CONFIG, ENVIRONMENT, LOCK, METRICS, STATUS
from aiexp.rundir.seal import check_seal
from aiexp.rundir.state import UNDER_WAY, State
from aiexp.storage.lock import is_held
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import out_lines, out_styled, resume_command

HELP = """\
usage: aiexp doctor          this machine: versions, device, folders, W&B
       aiexp doctor RUN      a run directory: config, state, checkpoints,
                             metrics, reference value
"""
FLAGS = Flags("doctor", FORMAT)
PACKAGES = ("torch", "transformers", "torchvision", "gymnasium", "wandb", "hydra-core", "omegaconf")
OPTIONAL = {"torchvision": "vision", "gymnasium": "rl"}


def main(argv: list[str]) -> int:
    """Prints one line for each check; returns 0, or the exit code of the worst problem."""
    runs, flags = FLAGS.parse(argv)
    checks = _examine_run(RunDirectory.open(Path(runs[0]))) if runs else _examine_machine()
    is_json, worst = flags.get("format") == "json", 0
    found: list[dict[str, str | bool]] = []
    for name, check in checks:
        try:
            found.append({"check": name, "ok": True, "found": check()})
        except AiexpError as error:
            worst = max(worst, error.exit_code)
            what = f"{redact_text(error.what)}{f' ({error.where})' if error.where else ''}"
            found.append({"check": name, "ok": False, "found": what, "fix": error.fix})
        if not is_json:
            out_styled(_lines(found[-1]))
    if is_json:
        out_lines(json.dumps(found, indent=2))
    return worst


def _lines(found: dict[str, str | bool]) -> list[tuple[str, str]]:
    """One check, as people read it."""
    if found["ok"]:
        return [(f"ok    {found['check']}: {found['found']}", "")]
    fix = [(f"      fix: {found['fix']}", "green")] if found["fix"] else []
    return [(f"BAD   {found['check']}: {found['found']}", "red"), *fix]


Check = tuple[str, Callable[[], str]]


def _examine_machine() -> Iterator[Check]:
    """Checks that need no run."""
    from aiexp.source.cache import data_dir

    yield "python", lambda: f"{platform.python_version()} at {sys.executable}"
    for package in PACKAGES:
        yield package, lambda package=package: installed(package)
    yield "processor", _describe_processor
    yield "gpu", lambda: f"{count} found" if (count := count_gpus()) else "none (hardware=auto uses the CPU)"
    yield "outputs folder", lambda: writable(Path("outputs"))
    yield "data folder", lambda: writable(data_dir())
    yield "W&B", _describe_wandb


def installed(package: str) -> str:
    """Version of a package, or how to get it."""
    try:
        return version(package)
    except PackageNotFoundError:
        if package in OPTIONAL:
            return f"not installed (optional: pip install 'aiexp[{OPTIONAL[package]}]')"
        raise HardwareError(f"{package} is not installed", fix="pip install aiexp") from None


def _describe_processor() -> str:
    """Name, cores, and whether bf16 is fast."""
    fast = sorted(cpu_flags() & {"amx_bf16", "avx512_bf16"})
    precision = "fast with " + " ".join(fast) if fast else "not native, fp32 is used"
    return f"{cpu_name()}, {os.cpu_count()} cores, bf16 {precision}"


def writable(folder: Path) -> str:
    """Free space of a folder that can be written."""
    from aiexp.storage.files import nearest_existing

    there = nearest_existing(folder.absolute())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StorageError("cannot be written", where=str(folder), fix="choose another folder")
    return f"{folder} ({shutil.disk_usage(there).free / 1e9:.0f} GB free)"


def _describe_wandb() -> str:
    """Whether a key is configured, without any network."""
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    configured = "WANDB_API_KEY" in os.environ or (
        netrc.is_file() and "wandb" in netrc.read_text(errors="replace")
    )
    return "key configured" if configured else "no key: runs are logged offline (wandb login to change that)"


def _examine_run(directory: RunDirectory) -> Iterator[Check]:
    """Checks of a run directory."""
    yield "config", lambda: _check_config(directory)
    yield "state", lambda: check_state(directory)
    yield "records", lambda: _check_records(directory)
    yield "metrics", lambda: check_metrics(directory)
    checkpoints = directory.path / CHECKPOINTS
    for step in saved_steps(checkpoints):
        yield f"checkpoint {step}", lambda step=step: verified(checkpoints / f"step-{step:08d}")
    yield "reference", lambda: check_reference(directory)


def _check_records(directory: RunDirectory) -> str:
    """What was typed and what the run depended on can be read: resuming asks for both."""
    directory.read(ENVIRONMENT)
    return f"typed: {' '.join(directory.read_typed()[1]) or 'nothing'}"


def _check_config(directory: RunDirectory) -> str:
    """The stored config still composes and may be run."""
    from aiexp.config.validate import validate

    validate(directory.read_config(), source=str(directory.path / CONFIG))
    return "valid"


def check_state(directory: RunDirectory) -> str:
    """What status.json says, and whether a process really works on it."""
    status = directory.read(STATUS)
    state, step, total = status.get("state"), status.get("step") or 0, status.get("total_steps") or "?"
    if state is None:
        raise CheckpointError(
            f"{STATUS} says no state", fix=f"aiexp resume {os.path.relpath(directory.path)}"
        )
    if state in UNDER_WAY:
        held = is_held(directory.path / LOCK)
        if held is None:
            return f"says {state} at step {step} of {total}; the lock cannot be read to see if that is true"
        if held:
            return f"running, step {step} of {total}"
        raise CheckpointError(
            f"died at step {step} of {total} without a word",
            fix=resume_command(os.path.relpath(directory.path)),
        )
    if state == State.FINISHED:
        return f"finished, {status.get('seconds')} s"
    what, _, _ = str(status.get("error")).partition("; continue with: ")  # typed where the run was started
    where = f"{state} at step {step} of {total}: {what}"
    return f"{where}; continue with: {resume_command(os.path.relpath(directory.path))}"


def check_metrics(directory: RunDirectory) -> str:
    """Every line of metrics.jsonl can be read, and a complete run has those that it ended with."""
    from aiexp.rundir.metrics import read_metrics

    lines = read_metrics(directory.path / METRICS, is_strict=True)
    check_seal(directory.path, directory.read(STATUS))
    return f"{len(lines)} lines"


def verified(path: Path) -> str:
    """A checkpoint whose every byte is as it was written, and the metrics until then."""
    from aiexp.rundir.metrics import intact_part

    verify(path)
    if session := verify_state(path).get("session"):
        intact_part(path.parents[1] / METRICS, session["metrics_bytes"], session["metrics_sha256"])
    return "intact"


def check_reference(directory: RunDirectory) -> str:
    """The result against the task's own `reference:` block.

    Raises:
        CheckpointError: the result lies outside the tolerance, or the block is damaged.
    """
    reference = _mapping(_mapping(directory.read_config().get("task")).get("reference"))
    if not reference:
        return "the task states none"
    if directory.read_typed()[1]:
        return "not compared: the run has overrides of its own"
    name = str(reference.get("metric"))
    value = (directory.read(STATUS).get("metrics") or {}).get(name)
    if value is None:
        return "not reached yet"
    expected, tolerance = reference.get("value"), reference.get("tolerance")
    if not all(isinstance(number, int | float) for number in (value, expected, tolerance)):
        raise CheckpointError("value, tolerance or metric is no number", where="config.yaml: task.reference")
    text = f"{name} {value:.4f}, expected {expected} +- {tolerance}"
    if not abs(value - expected) <= tolerance:  # NaN is no result
        raise CheckpointError(f"{text} ({reference.get('source')})", where="task.reference")
    return text


def _mapping(value: object) -> dict[str, Any]:
    """The mapping a stored file should hold there, or an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
