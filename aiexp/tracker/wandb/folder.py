"""Folders of W&B: where it may keep its caches, and one that shows all runs of a task."""

import contextlib
import os
from pathlib import Path

FOLDER = ".wandb"  # a name of W&B's own; hidden, for `outputs/TASK/*` is to mean the runs


def link(folder: Path) -> Path:
    """Makes `<folder of runs>/.wandb/` lead to a W&B run too, and returns it: `wandb leet` shows them all.

    Links to runs that are gone are removed, since `wandb leet` would list them. Where links cannot be made
    it is the run's own folder that is returned.

    Args:
        folder: `<folder of runs>/<run>/wandb/<W&B's own name>`.
    """
    runs = folder.parents[2] / FOLDER
    with contextlib.suppress(OSError):
        runs.mkdir(exist_ok=True)
        for entry in runs.iterdir():
            if "run-" in entry.name and entry.is_symlink() and not entry.exists():
                entry.unlink(missing_ok=True)
        (runs / folder.name).symlink_to(os.path.relpath(folder, runs))
        return runs
    return folder.parent


def avoid_unwritable_home(fallback: Path) -> None:
    """Lets wandb keep its caches in `fallback` where the home directory is read-only or missing.

    Else its service process prints its log to the terminal, and tables fail.
    """
    from wandb import env

    folders = {"WANDB_CACHE_DIR": Path(env.get_cache_dir()), "WANDB_DATA_DIR": Path(env.get_data_dir())}
    for variable, folder in folders.items():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            os.environ[variable] = str(fallback)
