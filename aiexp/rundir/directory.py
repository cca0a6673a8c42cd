"""The run directory: where everything a run makes lies, complete without any tracker.

outputs/<task>/<time>_<slug of the overrides>_<short id>/
    config.yaml       resolved config            metrics.jsonl   every logged number
    overrides.yaml    what was typed             run.log         what was said
    status.json       state, step, exit code     checkpoints/    see aiexp.checkpoint.store
    environment.json  versions, git, hardware    figures/        pictures and tables
    git.diff          what was not committed     config.json     config.yaml for programs

`docs/run_directory.md` says what stands in each of them.
"""

import hashlib
import os
import re
import secrets as random_source
import shlex
import shutil
import socket
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, final

from aiexp.config.dotted import flatten
from aiexp.errors import AiexpError, CheckpointError, ConfigError, SecurityError, StorageError, nearest
from aiexp.limits import limit_error
from aiexp.rundir.changes import NEUTRAL, is_below
from aiexp.rundir.file import (
    CONFIG,
    DATA,
    ENVIRONMENT,
    FLAT,
    FORMAT,
    GIT_DIFF,
    LOCK,
    MODEL,
    STATUS,
    TYPED,
    read_or_empty,
    read_stored,
)
from aiexp.rundir.named import LATEST, known_names, named
from aiexp.rundir.state import State
from aiexp.storage.files import storage_error, storage_errors, write_bytes, write_json, write_text
from aiexp.storage.lock import open_lock, try_lock
from aiexp.storage.mark import is_run_directory
from aiexp.storage.reader import to_yaml
from aiexp.text.secrets import redact_text

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
        with directory.starting():
            directory.write_status(format=FORMAT, state=State.STARTING)
        return directory

    @contextmanager
    def starting(self) -> Generator[None]:
        """A body that a run starts in: when it fails before a session is open, status.json says why.

        Where not even that can be written a folder without a config goes: there is nothing in it.
        """
        try:
            yield
        except Exception as error:
            if self.read_json(STATUS).get("state", State.STARTING) == State.STARTING:
                self._fail(limit_error(error) or error)
            raise

    def _fail(self, error: Exception) -> None:
        exit_code, text = getattr(error, "exit_code", 1), redact_text(str(error))
        try:
            self.write_status(state=State.of_exit_code(exit_code), exit_code=exit_code, error=text)
        except AiexpError:
            if not (self.path / CONFIG).exists():
                shutil.rmtree(self.path, ignore_errors=True)

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run directory.

        Args:
            path: Its path, or what else `named` finds a run by.

        Raises:
            CheckpointError: there is no such folder, or it is not a run directory.
            ConfigError: several runs are meant.
            SecurityError: it holds a link.
        """
        path = Path(os.path.realpath(named(path)))
        if not path.is_dir():
            hint = nearest(path.name, known_names())
            what = f"no such run directory.{hint}" if hint else "no such run directory"
            raise CheckpointError(what, where=str(path), fix="aiexp runs lists the runs")
        missing = [name for name in (CONFIG, STATUS) if not (path / name).is_file()]
        if missing == [CONFIG] and is_run_directory(path):
            raise CheckpointError(
                "the run ended before it had written its config: there is nothing to go on from",
                where=str(path), fix="start it again, and aiexp runs rm this folder",
            )  # fmt: skip
        if missing:
            raise CheckpointError(
                f"not a run directory: it has no {' and no '.join(missing)}", where=str(path),
                fix="name the folder that holds config.yaml, such as outputs/latest",
            )  # fmt: skip
        refuse_odd_files(path)
        directory = cls(path)
        try:
            directory.read(STATUS)
        except CheckpointError as error:
            error.fix = error.fix or f"if the rest is whole: echo '{{}}' > {shlex.quote(str(path / STATUS))}"
            raise
        return directory

    def write_config(self, config: dict[str, Any], choices: dict[str, str], overrides: list[str]) -> None:
        """Writes the resolved config and what was typed; config.yaml last, so that with it all is there."""
        typed = {"choices": choices, "overrides": overrides}
        texts = {TYPED: to_yaml(typed), CONFIG: to_yaml(config)}
        made_of = {name: digest(text.encode()) for name, text in texts.items()}
        with storage_errors("writing the config", self.path):
            write_json(self.path / FLAT, {"made_of": made_of, **typed, "config": flatten(config)})
            for name, text in texts.items():
                write_text(self.path / name, text)

    def read_config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            CheckpointError: it is damaged.
        """
        return self.read(CONFIG)

    def read_typed(self) -> tuple[dict[str, str], list[str]]:
        """The options chosen for each group, and the overrides typed.

        Raises:
            CheckpointError: they are damaged.
        """
        typed = self.read(TYPED)
        return typed["choices"], typed["overrides"]

    def read(self, name: str) -> dict[str, Any]:
        """A file of the directory, of its declared shape.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        return read_stored(self.path / name)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the directory, or {} if it is missing or damaged."""
        return read_or_empty(self.path / name)

    def write_status(self, **changes: Any) -> None:
        """Merges `changes` into status.json."""
        with storage_errors("writing the status", self.path / STATUS):
            write_json(self.path / STATUS, self.read_json(STATUS) | changes)

    def begin(self) -> None:
        """A process works on it from now on: what an earlier one said of its end no longer holds."""
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.write_status(
            state=State.RUNNING, pid=os.getpid(), started=started, exit_code=None, error=None, seal=None
        )

    def add_better(self, better: Mapping[str, str]) -> None:
        """Remembers which way metrics are better ("max" or "min"), by their full names."""
        known: dict[str, str] = self.read_json(STATUS).get("better") or {}
        if not better.items() <= known.items():
            self.write_status(better={**known, **better})

    def write_environment(self, **changes: Any) -> None:
        """Merges `changes` into environment.json; the diff, which may be a megabyte, gets its own file."""
        git = dict(changes.get("git") or {})
        with storage_errors("writing the environment", self.path / ENVIRONMENT):
            if "diff" in git:
                write_text(self.path / GIT_DIFF, git.pop("diff"))
                changes["git"] = git
            write_json(self.path / ENVIRONMENT, self.read_json(ENVIRONMENT) | changes)

    def keep(self, dataset: Mapping[str, Any], model: Mapping[str, bytes]) -> None:
        """Writes what the trained task is built again from.

        Args:
            dataset: What is remembered of the data set, as JSON values.
            model: Small files of a pretrained model, by name.
        """
        with storage_errors("writing what the task is built from", self.path):
            write_json(self.path / DATA, dict(dataset))
            if model:
                (self.path / MODEL).mkdir(exist_ok=True)
            for name, content in model.items():
                if not (self.path / MODEL / name).exists():  # what it began with stays what it was
                    write_bytes(self.path / MODEL / name, content)

    @contextmanager
    def unless_refused(self) -> Generator[None]:
        """A body that a new run is trained in: refused before the first step, it was a slip, and no run.

        Its folder goes, and `latest` leads to the run before it again.
        """
        try:
            yield
        except AiexpError as error:
            if error.exit_code == ConfigError.exit_code and self.read_json(STATUS).get("step") is None:
                self._discard()
            raise

    def _discard(self) -> None:
        outputs = self.path.parent.parent
        is_latest = os.path.realpath(outputs / LATEST) == os.path.realpath(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # there are other runs of the task
            self.path.parent.rmdir()
        if is_latest:
            renew_latest(outputs)

    def point_latest(self, outputs: Path) -> None:
        """Makes `outputs/latest` a link to this run; a folder that cannot hold links is left alone."""
        link, temporary = outputs / LATEST, outputs / f".latest-{random_source.token_hex(4)}"
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
        path = self.path / LOCK
        try:
            file = open_lock(path)
        except OSError as error:
            raise storage_error(error, "locking the run directory", path) from error
        if not try_lock(file):
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            file.close()
            raise StorageError(
                f"the run directory is in use by {holder}", where=str(self.path), fix="wait for it or stop it"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        for leftover in self.path.glob(".*.tmp"):  # of a process that was killed in the middle of a write
            leftover.unlink(missing_ok=True)
        return file


def renew_latest(outputs: Path) -> None:
    """Makes `outputs/latest`, whose run is gone, a link to the newest that is left, if there is one."""
    (outputs / LATEST).unlink(missing_ok=True)
    folders = [*outputs.glob("*/*/"), *outputs.glob("*/*_sweep_*/*/")]
    others = [path for path in folders if (path / STATUS).is_file()]
    if others:
        RunDirectory(max(others, key=lambda path: path.name)).point_latest(outputs)


def refuse_odd_files(path: Path) -> None:
    """Refuses a folder with anything in it that is no plain file or folder.

    Raises:
        SecurityError: a link that leads out of it.
        CheckpointError: a pipe, a socket or a device, on which a reader may wait for ever.
    """
    for item in path.rglob("*"):
        if "wandb" in item.relative_to(path).parts:
            continue
        mode = item.lstat().st_mode
        if stat.S_ISLNK(mode):
            if item.resolve().is_relative_to(path.resolve()):
                continue  # such as the logs of a cluster's jobs
            raise SecurityError(
                "a directory with a link out of it is not resumed: the link may lead to files of yours",
                where=str(item), fix="remove the link",
            )  # fmt: skip
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise CheckpointError("is no regular file, so this is no run directory", where=str(item))


def digest(content: bytes) -> str:
    """sha256 of the content of a file."""
    return hashlib.sha256(content).hexdigest()


def new_name(slug: str) -> str:
    """`<time>_<slug>_<short id>`, a name that no other run has."""
    return "_".join(p for p in (time.strftime("%Y-%m-%d_%H-%M-%S"), slug, random_source.token_hex(3)) if p)


def slug(overrides: list[str]) -> str:
    """A readable, safe piece of a folder name: `optimizer.lr=0.001` becomes `lr-0.001`; at most 80 bytes.

    What is of no account for the result, such as the tracker, is left out.
    Without `=` and `,` a path that is pasted into a command line is neither KEY=VALUE nor a list of values.
    """
    parts: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        if is_below(key.lstrip("+~"), NEUTRAL):
            continue
        bare = value.strip("[]{}()'\" ")
        part = f"{key.lstrip('+~').rsplit('.', 1)[-1]}-{bare}" if bare else key
        parts.append(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-."))
    return "_".join(filter(None, parts))[:SLUG_BYTES].rstrip("-._")
