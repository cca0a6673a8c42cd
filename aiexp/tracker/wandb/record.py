"""What W&B shows of a run beside its metrics: code, command, machine, packages, weights.

What wandb collects by itself is switched off, since it masks nothing: it would send the command line as typed
and the uncommitted changes as they are. What is sent instead comes from environment.json and git.diff, where
secrets are masked.
"""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiexp.rundir.file import GIT_DIFF
from aiexp.tracker.base import RunInfo
from aiexp.tracker.recorded import Part, remote_address
from aiexp.tracker.weights import SaveModel, model_files


def record_settings(parts: list[Part], run: RunInfo) -> dict[str, Any]:
    """Settings of wandb that say where the code and the machine are.

    Args:
        parts: What is recorded.
        run: The run.
    """
    settings: dict[str, Any] = {"host": ""}
    git = run.environment.get("git") or {}
    if "git" in parts and git.get("commit"):
        settings |= {"git_commit": git["commit"], "git_remote_url": remote_address(run)}
    if "command" in parts:
        settings["host"] = run.environment.get("hostname") or ""
    return settings


def send_record(opened: Any, parts: list[Part], run: RunInfo) -> None:
    """Sends what there is to say of code, command and packages.

    Args:
        opened: The W&B run.
        parts: What is recorded.
        run: The run.
    """
    interface: Any = opened._interface  # not public: pyproject.toml bounds wandb's minor version
    if "git" in parts or "command" in parts:
        interface.publish_environment(_environment(parts, run))
    if "requirements" in parts:
        packages: dict[str, str] = run.environment.get("packages") or {}
        interface.publish_python_packages(
            [SimpleNamespace(key=name, version=str(version)) for name, version in packages.items()]
        )
    diff = run.directory / GIT_DIFF
    if "git" in parts and diff.is_file() and diff.stat().st_size:
        copy = Path(opened.dir) / "diff.patch"  # the name that W&B looks for
        shutil.copyfile(diff, copy)
        opened.save(str(copy), base_path=opened.dir, policy="now")


def model_artifact(run: RunInfo, which: SaveModel, folder: Path) -> Any | None:
    """The weights of a run that is complete; None where there are none or none are wanted.

    Args:
        run: The run.
        which: Those of which checkpoint.
        folder: Of this segment of the W&B run, in which the files get a second name: they may be sent long
            after, and a run that goes on removes its old checkpoints.
    """
    import wandb

    model = model_files(run.directory, which)
    if model is None:
        return None
    metadata = {"step": model.step, "task": run.task}
    artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=metadata)
    for name, path in model.files.items():
        held = hold(path, folder.resolve() / name)
        # No copy in wandb's cache: a checkpoint is never changed, and would be on the disk three times.
        artifact.add_file(str(held), name=name, policy="immutable", skip_cache=True)
    return artifact


def hold(path: Path, other: Path) -> Path:
    """A second name of a file, which keeps it when the first is gone; a copy where the disk knows no such."""
    other.parent.mkdir(parents=True, exist_ok=True)
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
    return other


def _environment(parts: list[Part], run: RunInfo) -> Any:
    """W&B's own record of code and machine."""
    from wandb.proto import wandb_internal_pb2

    known = run.environment
    record: Any = vars(wandb_internal_pb2)["EnvironmentRecord"]()
    record.started_at.GetCurrentTime()
    if "command" in parts:
        program, *arguments = known.get("argv") or (known.get("command") or "aiexp").split(" ")
        record.program, record.host = program, known.get("hostname") or ""
        record.args.extend(arguments)
        record.os, record.python = known.get("platform") or "", known.get("python") or ""
        record.root = known.get("working_directory") or ""
        record.cpu_count_logical = known.get("cores") or 0
        record.memory.total = known.get("memory_bytes") or 0
    git = known.get("git") or {}
    if "git" in parts and git.get("commit"):
        record.git.commit, record.git.remote_url = git["commit"], remote_address(run) or ""
    return record
