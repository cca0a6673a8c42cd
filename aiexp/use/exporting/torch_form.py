"""Networks as .pt2 files of `torch.export`: any program with torch loads them, without our code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, fx

from aiexp.use.exporting.form import Form, Inner, Rebuilt
from aiexp.use.exporting.parity import tensors_of
from aiexp.use.exporting.program import exported, quiet


@final
class TorchForm(Form):
    """A file `NAME.pt2` for each network."""

    suffix = "pt2"
    imports = "import torch"
    loads = 'network = torch.export.load("NAME.pt2").module()'
    calls = "with torch.no_grad():\n    outputs = network(*map(torch.from_numpy, inputs.values()))"

    def check(self) -> None:
        """Torch is always there."""

    def write(self, name: str, folder: Path) -> None:
        """Writes it."""
        program = exported(name, self.networks[name])
        with quiet():
            torch.export.save(program, folder / f"{name}.pt2")

    def read(self, name: str, folder: Path) -> "TorchRebuilt":
        """Reads it."""
        with quiet():
            return TorchRebuilt(torch.export.load(folder / f"{name}.pt2").module())


@final
class TorchRebuilt(Rebuilt):
    """A program of torch.

    Args:
        module: Its graph.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What it returns."""
        with torch.no_grad():
            return tensors_of(self.module(*tensors))

    def inner(self, tensors: Sequence[Tensor]) -> Inner:
        """What the last node of each module made."""
        recorder = _Recorder(self.module)
        with torch.no_grad():
            recorder.run(*tensors)
        return recorder.found


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps what each module's last node made."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.found: Inner = {}

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            for path, _ in (n.meta.get("nn_module_stack") or {}).values():
                self.found[path] = result
        return result
