"""A trained task's networks into a folder: written, read back, compared, described; kept if all is well."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch

from aiexp import __version__
from aiexp.errors import ConfigError
from aiexp.model.peft.merging import merge
from aiexp.runs.loaded import Say
from aiexp.storage.files import storage_errors, write_bytes, write_json, write_text
from aiexp.storage.staged import check_target, staged
from aiexp.task.base import Task
from aiexp.use.exporting import parity
from aiexp.use.exporting.card import Exported, card, classes_of
from aiexp.use.exporting.examples import Data, cases_of, find_data
from aiexp.use.exporting.form import Form
from aiexp.use.exporting.huggingface_form import HuggingFaceForm
from aiexp.use.exporting.onnx_form import OnnxForm
from aiexp.use.exporting.quantization import quantize
from aiexp.use.exporting.torch_form import TorchForm
from aiexp.use.exporting.weights_form import WeightsForm

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

FORMS: dict[str, type[Form]] = {
    "onnx": OnnxForm,
    "torch_export": TorchForm,
    "huggingface": HuggingFaceForm,
    "weights": WeightsForm,
}
FOLDER = "exports"  # in a run directory
RECORD = "export.json"  # by it a folder is known for one that may be replaced


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked for.

    Args:
        form: Key of `FORMS`.
        out: The folder; None is one in the run directory.
        quantize: Also a copy in 8 bits.
    """

    form: str
    out: Path | None = None
    quantize: bool = False

    def target(self, run: Path) -> Path:
        """The folder."""
        return run / FOLDER / self.form if self.out is None else self.out.expanduser().absolute()


def export(run: "LoadedRun", request: Request, say: Say) -> Path:
    """Exports all networks of a task, which is moved to the CPU; returns the folder.

    Raises:
        ConfigError: the task names no networks, or has no such form.
        CheckpointError: what was read back differs from the task; nothing is kept.
        HardwareError: a library is missing.
        StorageError: the folder holds something else, or cannot be written.
    """
    task = run.task.cpu().to(memory_format=torch.contiguous_format).eval()
    if count := merge(task):
        say(f"the adapters of {count} layer{'s'[: count > 1]} are computed into the weights")
    networks = {file_name(name): network for name, network in task.networks().items()}
    form = FORMS[request.form](replace(run, config=without_adapters(run.config)) if count else run, networks)
    form.check()
    target = request.target(run.directory.path)
    check_target(target, RECORD)
    data = find_data(run, say)
    with staged(target) as folder:
        fill(folder, run, form, request, data, say)
    return target


def without_adapters(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a task whose network has none any more."""
    return config | {"task": config["task"] | {"peft": None}}


def fill(folder: Path, run: "LoadedRun", form: Form, request: Request, data: Data, say: Say) -> None:
    """Writes everything into a folder; raises as `export` does."""
    with storage_errors("exporting", folder, "--out DIR"):
        for name, write in form.files().items():
            write(folder / name)
        for name, content in files_of_inputs(run).items():
            if not (folder / name).exists():
                write_bytes(folder / name, content)
        made = [exported(folder, form, name, request, data, say) for name in form.networks]
        files = sorted(path.name for path in folder.iterdir())
        title = f"{type(run.task).__name__} as {request.form}"
        write_text(folder / "README.md", card(run, form, title, made, files, data.fetched))
        record = {
            "aiexp": __version__,
            "run": run.directory.path.name,
            "step": run.step,
            "form": request.form,
            "classes": classes_of(run),
            "networks": {one.name: one.record() for one in made},
        }
        write_json(folder / RECORD, record)


def exported(folder: Path, form: Form, name: str, request: Request, data: Data, say: Say) -> Exported:
    """Writes one network, reads it back and compares."""
    network = form.networks[name]
    form.write(name, folder)
    cases, tried_on = cases_of(network, data)
    largest = parity.check(name, network, form.read(name, folder), cases)
    file = f"{name}.{form.suffix}" if form.suffix else ""
    size = f", {(folder / file).stat().st_size / 1e6:.1f} MB" if file else ""
    say(f"{name}: {file or request.form}{size}; differs by at most {largest:.1e} on {tried_on}")
    small = quantize(name, network, folder, cases, data) if request.quantize else None
    if small is not None:
        say(f"{name}: {small.line()}")
    return Exported(
        name=name, network=network, file=file, largest_difference=largest, tried_on=tried_on, quantized=small
    )


def files_of_inputs(run: "LoadedRun") -> dict[str, bytes]:
    """What is needed to make inputs elsewhere; nothing of a task that names its networks and no inputs."""
    return {} if type(run.task).inputs is Task.inputs else run.task.inputs().files()


def file_name(name: str) -> str:
    """The name of a network, which is one for a file too.

    Raises:
        ConfigError: it is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,80}", name):
        raise ConfigError(
            f"the network '{name}' cannot be a file's name",
            where="Task.networks",
            fix="letters, digits, _ and -",
        )
    return name
