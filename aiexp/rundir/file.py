"""The files of a run directory, each said once: its name, its shape, and how large and deep it may be.

`docs/run_directory.md` says the same to people.
"""

from pathlib import Path
from typing import Any

from aiexp.errors import CheckpointError
from aiexp.rundir.state import WRITTEN
from aiexp.storage.mark import CONFIG as CONFIG
from aiexp.storage.mark import ENVIRONMENT as ENVIRONMENT
from aiexp.storage.mark import METRICS as METRICS
from aiexp.storage.mark import STATUS as STATUS
from aiexp.storage.mark import TYPED as TYPED
from aiexp.storage.reader import StoredFile, read_bytes, read_file
from aiexp.storage.shape import (
    anything,
    fields,
    flag,
    list_of,
    map_of,
    number,
    one_of,
    optional,
    plain,
    step_and_numbers,
    text,
    whole,
)

FORMAT = 1  # in status.json; a change that an older aiexp would misread gets the next number

DATA = "dataset.json"  # what the task took from its data set
MODEL = "model"  # small files of its pretrained model, such as the tokenizer
TRAINED_BY = "trained_by.json"  # among them: the run whose network it began with
FLAT, GIT_DIFF, LOCK = "config.json", "git.diff", ".lock"
CHECKPOINTS, FIGURES, LOG, ERROR_LOG = "checkpoints", "figures", "run.log", "error.log"
CURVES = "curves"  # among the figures: drawn of each run at its end
NOTES = "notes.json"  # what people say of the run; the run itself neither reads nor writes it
PROFILE = "profile"
RANKS = "ranks"  # of a run on several devices: what each process but the leader has said

MEGABYTE = 10**6
LARGEST_METRICS = 2_000 * MEGABYTE
LINE = step_and_numbers  # the shape of a line of metrics.jsonl


_ANY_MAP = map_of(anything)
STORED: dict[str, StoredFile] = {
    CONFIG: StoredFile(shape=plain, most_bytes=4 * MEGABYTE),
    TYPED: StoredFile(
        shape=fields({"choices": map_of(optional(text)), "overrides": list_of(text)}),
        most_bytes=4 * MEGABYTE,
    ),
    STATUS: StoredFile(
        format=FORMAT,
        whole="run directory",
        shape=fields(
            format=whole(0),
            state=one_of(*WRITTEN),
            step=whole(0),
            total_steps=whole(0),
            best_step=whole(0),
            exit_code=whole(),
            error=text,
            seconds=number,
            peak_memory_bytes=whole(0),
            started=text,
            pid=whole(),
            metrics=map_of(number),
            better=map_of(one_of("max", "min")),
            seal=map_of(text),
        ),
    ),
    ENVIRONMENT: StoredFile(
        shape=fields(
            aiexp=text,
            source=text,
            python=text,
            platform=text,
            hostname=text,
            command=text,
            argv=list_of(text),
            working_directory=text,
            run_id=text,
            cores=whole(),
            memory_bytes=whole(),
            git=map_of(text),
            packages=_ANY_MAP,  # a hundred names in each run, which nobody reads but people
            hardware=_ANY_MAP,
            dataset=fields(examples=map_of(whole(0)), fingerprint=anything),
            parameters=whole(0),
            task=_ANY_MAP,
            tracker=_ANY_MAP,
            started_from=list_of(_ANY_MAP),
            parent=_ANY_MAP,
            sweep=text,
            differs=list_of(text),
        )
    ),
    DATA: StoredFile(
        shape=fields(
            generated=flag,
            attributes=_ANY_MAP,
            methods=list_of(text),
            answers=_ANY_MAP,
            examples=map_of(optional(whole(0))),
        )
    ),
    NOTES: StoredFile(
        shape=fields(title=text, note=text, tags=list_of(text), hidden=flag), most_bytes=MEGABYTE
    ),
    FLAT: StoredFile(
        shape=fields(
            {"made_of": map_of(text), "choices": map_of(optional(text)), "overrides": list_of(text)},
            config=_ANY_MAP,
        )
    ),
}


def read_stored(path: Path) -> dict[str, Any]:
    """The content of one of the files above, by its name.

    Raises:
        CheckpointError: missing, unreadable, or not of its shape; the message names the file and the key.
    """
    return read_file(path, STORED[path.name])


def read_or_empty(path: Path) -> dict[str, Any]:
    """The same, or {} where the file is missing or damaged."""
    try:
        return read_stored(path)
    except CheckpointError:
        return {}


def metrics_bytes(path: Path, *, is_strict: bool = False) -> bytes:
    """The content of a metrics file; empty where there is none.

    Raises:
        CheckpointError: is_strict, and it cannot be read; else that is empty, too.
    """
    try:
        return read_bytes(path, LARGEST_METRICS)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        if is_strict:
            raise CheckpointError(f"{path.name} cannot be read: {error}", where=str(path)) from error
        return b""
