"""The Optuna study of a search: a journal in the sweep directory, open to every job's process."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiexp.errors import CheckpointError, ConfigError, reason_of
from aiexp.storage.files import storage_errors, write_json
from aiexp.sweep.search.cma_state import check_states
from aiexp.sweep.search.journal_lock import JournalLock
from aiexp.sweep.search.sampler import make_pruner, make_sampler, without_experimental_warnings
from aiexp.sweep.search.settings import SEARCH, Settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import JournalStorage

JOURNAL = "study.journal"
LASTING = ("objectives", "directions", "pruner", "startup_trials", "warmup_evaluations")


def open_study(directory: Path, settings: Settings, name: str | None = None) -> "Study":
    """The study in a sweep directory, made when it is not there yet.

    Args:
        directory: The sweep's.
        settings: Of the search; they must agree with those the study began with.
        name: Shown by optuna-dashboard; None for the directory's name.

    Raises:
        ConfigError: the study was begun with other objectives or another pruner.
        CheckpointError: the journal is damaged.
        SecurityError: it holds a pickle that would run code.
        StorageError: the journal cannot be written.
    """
    import optuna

    path = directory.absolute() / JOURNAL
    if path.is_file() and (directory / SEARCH).is_file():
        check_settings(read_settings(directory), settings, directory)
    cut_torn_line(path)
    storage = open_journal(path)
    if not storage.get_all_studies():
        with without_experimental_warnings(), storage_errors("writing the study", path):
            study = optuna.create_study(
                storage=storage, study_name=name or directory.absolute().name,
                directions=["maximize" if d == "max" else "minimize" for d in settings.directions],
            )  # fmt: skip
            study.set_metric_names(settings.objectives)
    with storage_errors("writing the settings of the search", directory):
        write_json(directory / SEARCH, asdict(settings))
    study = _loaded(storage, settings, path)
    if settings.sampler == "cmaes":
        check_states(study)
    return study


def load_study(directory: Path) -> "Study":
    """The study in a sweep directory, for those who only look at it or report to it.

    Raises:
        CheckpointError: the journal is damaged, or holds no study.
    """
    path = directory.absolute() / JOURNAL
    return _loaded(open_journal(path), read_settings(directory), path)


def _loaded(storage: "JournalStorage", settings: Settings, path: Path) -> "Study":
    """The only study of a journal, with its sampler and pruner."""
    import optuna

    [known, *_] = storage.get_all_studies() or [None]
    if known is None:
        raise CheckpointError("the journal holds no study", where=str(path), fix="start a new search")
    return optuna.load_study(
        storage=storage, study_name=known.study_name,
        sampler=make_sampler(settings, 0), pruner=make_pruner(settings),
    )  # fmt: skip


def read_settings(directory: Path) -> Settings:
    """The settings that a search was begun with.

    Raises:
        CheckpointError: they cannot be read.
    """
    path = directory / SEARCH
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"the settings of the search cannot be read: {error}", where=str(path), fix="start a new search"
        ) from error


def check_settings(before: Settings, now: Settings, directory: Path) -> None:
    """Raises `ConfigError` if a resumed search asks for what would not continue the same study."""
    for name, value in asdict(before).items():
        if name in LASTING and getattr(now, name) != value:
            raise ConfigError(
                f"the search began with {name} {value}, now it is {getattr(now, name)}", where=str(directory),
                fix="resume it as it began, or start a new search",
            )  # fmt: skip


def open_journal(path: Path) -> "JournalStorage":
    """Optuna's storage in a file.

    Raises:
        CheckpointError: a line of it is damaged.
        StorageError: it cannot be opened.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with storage_errors("opening the study", path):
            lock: Any = JournalLock(path)
            return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, AssertionError) as error:
        raise CheckpointError(
            f"the study is damaged: {reason_of(error)}",
            where=str(path),
            fix="remove the damaged lines, or start a new search",
        ) from error


def cut_torn_line(path: Path) -> None:
    """Drops a last line that a full disk left unfinished: the next one would be glued to it."""
    if not path.is_file():
        return
    with storage_errors("repairing the study", path), path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and b"\n" not in tail:
            start = max(0, end - 65536)
            file.seek(start)
            tail, end = file.read(end - start) + tail, start
        file.truncate(end + tail.rfind(b"\n") + 1)
