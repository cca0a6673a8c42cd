"""The run directory: where everything a run makes lies, complete without any tracker.

outputs/<task>/<time>_<slug of the overrides>_<short id>/
    config.yaml       resolved config            metrics.jsonl   every logged number
    overrides.yaml    what was typed             run.log         what was said
    status.json       state, step, exit code     checkpoints/    see aiexp.checkpoint.store
    environment.json  versions, git, hardware    figures/        pictures and tables
"""

import fcntl
import json
import os
import re
import secrets as random_source
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast, final

import yaml

from aiexp.errors import CheckpointError, SecurityError, StorageError
from aiexp.storage.files import storage_error, storage_errors, write_json, write_text

SLUG_BYTES = 80


@final
@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run's folder. `create` makes a new one that no other process can share; `open` finds one."""

    path: Path

    @classmethod
    def create(cls, parent: Path, slug: str) -> Self:
        """Makes `<parent>/<time>_<slug>_<short id>` with an exclusive mkdir.

        Raises:
            StorageError: the parent cannot be made or written.
        """
        with storage_errors("making the run directory", parent):
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                path = parent / new_name(slug)
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                break
        return cls.at(path)

    @classmethod
    def at(cls, path: Path) -> Self:
        """The run directory at a path that is this run's alone, made if it is not there yet.

        Raises:
            StorageError: it cannot be made or written.
        """
        with storage_errors("making the run directory", path.parent):
            path.mkdir(exist_ok=True)
        directory = cls(path)
        directory.write_status(state="starting")
        return directory

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run directory.

        Raises:
            CheckpointError: there is no such folder, or it is not a run directory.
            SecurityError: it holds a link.
        """
        path = Path(os.path.realpath(path))
        if not path.is_dir():
            raise CheckpointError(
                "no such run directory", where=str(path), fix="ls outputs/*/ shows the runs"
            )
        missing = [name for name in ("config.yaml", "status.json") if not (path / name).is_file()]
        if missing:
            raise CheckpointError(
                f"not a run directory: it has no {' and no '.join(missing)}", where=str(path),
                fix="name the folder that holds config.yaml, such as outputs/latest",
            )  # fmt: skip
        refuse_links(path)
        return cls(path)

    def write_config(self, config: dict[str, Any], choices: dict[str, str], overrides: list[str]) -> None:
        """Writes the resolved config and what was typed."""
        with storage_errors("writing the config", self.path):
            write_text(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
            typed = {"choices": choices, "overrides": overrides}
            write_text(
                self.path / "overrides.yaml", yaml.safe_dump(typed, sort_keys=False, allow_unicode=True)
            )

    def read_config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            CheckpointError: it is not a YAML mapping.
        """
        return self._read_yaml("config.yaml")

    def read_typed(self) -> tuple[dict[str, str], list[str]]:
        """The options chosen for each group, and the overrides typed."""
        typed = self._read_yaml("overrides.yaml")
        return typed.get("choices", {}), typed.get("overrides", [])

    def _read_yaml(self, name: str) -> dict[str, Any]:
        try:
            value = yaml.safe_load((self.path / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"cannot be read: {reason}", where=str(self.path / name)) from error
        if not isinstance(value, dict):
            raise CheckpointError("is not a mapping", where=str(self.path / name))
        return cast(dict[str, Any], value)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the directory, or {} if it is missing or damaged."""
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast(dict[str, Any], value) if isinstance(value, dict) else {}

    def write_status(self, **changes: Any) -> None:
        """Merges `changes` into status.json."""
        with storage_errors("writing the status", self.path / "status.json"):
            write_json(self.path / "status.json", self.read_json("status.json") | changes)

    def write_environment(self, **changes: Any) -> None:
        """Merges `changes` into environment.json."""
        with storage_errors("writing the environment", self.path / "environment.json"):
            write_json(self.path / "environment.json", self.read_json("environment.json") | changes)

    def point_latest(self, outputs: Path) -> None:
        """Makes `outputs/latest` a link to this run; a folder that cannot hold links is left alone."""
        link, temporary = outputs / "latest", outputs / f".latest-{random_source.token_hex(4)}"
        if link.exists() and not link.is_symlink():
            return
        try:
            temporary.symlink_to(os.path.relpath(self.path, outputs))
            temporary.replace(link)
        except OSError:
            temporary.unlink(missing_ok=True)

    def lock(self) -> IO[str]:
        """Holds the directory for this process until the returned file is closed or the process ends.

        Raises:
            StorageError: another process holds it; the message names it.
        """
        path = self.path / ".lock"
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise storage_error(error, "locking the run directory", path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise StorageError(
                f"the run directory is in use by {holder}", where=str(self.path), fix="wait for it or stop it"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        return file


def refuse_links(path: Path) -> None:
    """Raises `SecurityError` if a link lies in the directory of a run or a sweep."""
    links = [p for p in path.rglob("*") if p.is_symlink() and "wandb" not in p.relative_to(path).parts]
    if links:
        raise SecurityError(
            "a directory with a link in it is not resumed: the link may lead to files of yours",
            where=str(links[0]), fix="remove the link",
        )  # fmt: skip


def new_name(slug: str) -> str:
    """`<time>_<slug>_<short id>`, a name that no other run has."""
    return "_".join(p for p in (time.strftime("%Y-%m-%d_%H-%M-%S"), slug, random_source.token_hex(3)) if p)


def slug(overrides: list[str]) -> str:
    """A readable, safe piece of a folder name: `optimizer.lr=0.001` becomes `lr-0.001`; at most 80 bytes.

    Without `=` and `,` a path that is pasted into a command line is neither KEY=VALUE nor a list of values.
    """
    parts: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        part = f"{key.lstrip('+~').rsplit('.', 1)[-1]}-{value}" if value else key
        parts.append(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-."))
    return "_".join(filter(None, parts))[:SLUG_BYTES].rstrip("-._")
