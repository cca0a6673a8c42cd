"""The weights that a complete run may give to a tracker, with what its task is built again from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiexp.checkpoint.manifest import saved_steps
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, CONFIG, DATA, MODEL, STATUS
from aiexp.rundir.weights import checkpoint_path

SaveModel = Literal["none", "best", "last"]
WEIGHTS = ("model.safetensors", "shards/*")  # of a checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """Files of a trained model.

    Args:
        step: Of the checkpoint.
        files: By their names in what is uploaded.
    """

    step: int
    files: dict[str, Path]


def replaced_best(config: dict[str, Any], which: SaveModel) -> str | None:
    """What to say of a run without a best checkpoint whose best weights are wanted.

    Args:
        config: Of the run.
        which: What is wanted.
    """
    trainer: dict[str, Any] = config.get("trainer") or {}
    monitor = (trainer.get("selection") or {}).get("monitor")
    if which != "best" or monitor is not None:
        return None
    return (
        "save_model=best uploads the last weights: none are the best where trainer.selection.monitor is null"
    )


def model_files(run: Path, which: SaveModel) -> ModelFiles | None:
    """What to upload of a run; None where nothing is wanted or there is nothing.

    Args:
        run: The run directory.
        which: Of the best checkpoint, or of the last one, also where none is the best.
    """
    directory, steps = RunDirectory(run), saved_steps(run / CHECKPOINTS)
    if which == "none" or not steps:
        return None
    best = directory.read_json(STATUS).get("best_step") if which == "best" else None
    step = best if best in steps else steps[-1]
    checkpoint = checkpoint_path(directory, step)
    weights = {path.relative_to(checkpoint): path for pattern in WEIGHTS for path in checkpoint.glob(pattern)}
    others = [run / CONFIG, run / DATA, *(run / MODEL).glob("*")]
    found = weights | {path.relative_to(run): path for path in others}
    return ModelFiles(step=step, files={str(n): path for n, path in sorted(found.items()) if path.is_file()})
