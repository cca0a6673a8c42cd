"""The weights as safetensors, beside what the task is built from again."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aiexp.config.validate import validate
from aiexp.errors import CheckpointError, reason_of
from aiexp.rundir.code.copied import used_code_of
from aiexp.rundir.code.record import FOLDER as CODE
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, DATA, MODEL, read_stored
from aiexp.runs.loaded import made_task
from aiexp.storage.files import write_text
from aiexp.storage.reader import to_yaml
from aiexp.use.exporting import parity
from aiexp.use.exporting.form import Form, Inner, Rebuilt

if TYPE_CHECKING:
    from aiexp.task.base import Task

WEIGHTS = "model.safetensors"


def load_weights(folder: str | Path) -> "Task":
    """The task of an exported folder, on the CPU and in evaluation mode; its data need not be there.

    Raises:
        CheckpointError: the folder is not whole, or its weights do not fit.
        ConfigError: its config is of another aiexp.
        SecurityError: its config names code that is not allowed.
    """
    path = Path(folder)
    with used_code_of(path):
        config = validate(read_stored(path / CONFIG), source=str(path / CONFIG))
        task = made_task(RunDirectory(path), config, lambda _: None)
    try:
        task.load_state_dict(load_file(path / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights cannot be loaded: {reason_of(error)}", where=str(path / WEIGHTS)
        ) from error
    return task.cpu().eval().requires_grad_(False)


@final
class WeightsForm(Form):
    """model.safetensors, config.yaml, and what a run remembers of its data and its model."""

    suffix = ""
    imports = "import torch\nfrom aiexp.use.exporting.weights_form import load_weights"
    loads = 'network = load_weights(".").networks()["NAME"].module'
    calls = "with torch.no_grad():\n    outputs = network(*map(torch.from_numpy, inputs.values()))"

    def check(self) -> None:
        """Every task has weights."""

    def files(self) -> dict[str, Callable[[Path], object]]:
        """The weights and all that `load_weights` reads."""
        run = self.run.directory.path
        tensors = {
            name: value.detach().cpu().contiguous().clone()
            for name, value in self.run.task.state_dict().items()
        }
        files: dict[str, Callable[[Path], object]] = {WEIGHTS: lambda path: save_file(tensors, path)}
        # Not a copy: adapters that were computed into the weights are in the config no more.
        files[CONFIG] = lambda path: write_text(path, to_yaml(self.run.config))
        if (run / DATA).is_file():
            files[DATA] = lambda path: shutil.copyfile(run / DATA, path)
        for name in (MODEL, CODE):
            if (run / name).is_dir():
                files[name] = lambda path, source=run / name: shutil.copytree(source, path)
        return files

    def write(self, name: str, folder: Path) -> None:
        """All networks are in the one file."""

    def read(self, name: str, folder: Path) -> "ModuleRebuilt":
        """The network of a task that is built from the folder."""
        return ModuleRebuilt(load_weights(folder).networks()[name].module)


@final
class ModuleRebuilt(Rebuilt):
    """A network in Python.

    Args:
        module: Takes the tensors.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What it returns."""
        made: Any
        with torch.no_grad():
            made = self.module(*tensors)
        return parity.tensors_of(made)

    def inner(self, tensors: Sequence[Tensor]) -> Inner:
        """What its modules returned."""
        return parity.inner(self.module, tensors)
