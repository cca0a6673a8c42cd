"""What marks a folder as a run directory: the five files that every run has."""

import os
from collections.abc import Collection
from pathlib import Path

from aiexp.storage.reader import read_bytes

CONFIG, TYPED, STATUS = "config.yaml", "overrides.yaml", "status.json"
ENVIRONMENT, METRICS = "environment.json", "metrics.jsonl"
RUN_FILES = frozenset({CONFIG, TYPED, STATUS, ENVIRONMENT, METRICS})
MOST_BYTES = 20_000_000


def is_run_directory(path: Path, names: Collection[str] | None = None) -> bool:
    """Whether a folder is one of our runs, perhaps a damaged one: the one answer to that.

    It holds two of the five files that every run has, or a status.json that says a state: the latter is all
    that is left of a run killed in its first moments.

    Args:
        path: The folder.
        names: What it holds, where that is known.
    """
    if names is None:
        names = [name for name in RUN_FILES if os.path.lexists(path / name)]
    held = RUN_FILES.intersection(names)
    if len(held) != 1 or STATUS not in held:
        return len(held) > 1
    try:
        return b'"state"' in read_bytes(path / STATUS, MOST_BYTES)
    except (OSError, ValueError):
        return False
