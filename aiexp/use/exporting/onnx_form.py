"""Networks as ONNX files, read back by ONNX Runtime."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from aiexp.errors import CheckpointError, HardwareError, reason_of
from aiexp.prediction.network import Network
from aiexp.use.exporting.form import Form, Inner, Rebuilt
from aiexp.use.exporting.program import export_errors, exported, quiet

SCOPES = "pkg.torch.onnx.name_scopes"  # of a node: the modules that it is in


@final
class OnnxForm(Form):
    """A file `NAME.onnx` for each network, weights inside."""

    suffix = "onnx"
    imports = "import onnxruntime"
    loads = 'network = onnxruntime.InferenceSession("NAME.onnx", providers=["CPUExecutionProvider"])'
    calls = "outputs = network.run(None, inputs)[0]"

    def check(self) -> None:
        """Raises `HardwareError` if a library is missing."""
        try:
            import onnx as _onnx  # noqa: F401  # pyright: ignore[reportUnusedImport]
            import onnxruntime as _runtime  # noqa: F401  # pyright: ignore[reportUnusedImport]
            import onnxscript as _script  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            raise HardwareError(
                f"ONNX files need onnx, onnxscript and onnxruntime: {reason_of(error)}", where="--to onnx",
                fix="pip install 'aiexp[export]'",
            ) from error  # fmt: skip

    def write(self, name: str, folder: Path) -> None:
        """Writes it."""
        network = self.networks[name]
        program = exported(name, network)
        names = output_names(network)
        with quiet(), export_errors(name):
            made: Any = torch.onnx.export(
                program, dynamo=True, external_data=False, verbose=False, optimize=True,
                input_names=list(network.inputs), output_names=names,
            )  # fmt: skip
            made.model.graph.name = name
            give_names(made.model.graph, network, {*network.inputs, *names})
            made.save(folder / f"{name}.onnx")

    def read(self, name: str, folder: Path) -> "OnnxRebuilt":
        """Reads it."""
        return OnnxRebuilt(folder / f"{name}.onnx", list(self.networks[name].inputs))


def output_names(network: Network) -> list[str]:
    """The names of what a network returns, each once and none of them an input's."""
    taken = set(network.inputs)
    names: list[str] = []
    for wanted in network.outputs:
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        names.append(name)
    return names


def give_names(graph: Any, network: Network, reserved: set[str]) -> None:
    """Names free dimensions as the network does, and no inner value like an input or an output.

    ONNX Runtime refuses a file in which two values have one name; torch calls inner values as operations,
    such as "embedding".
    """
    outside = {id(value) for value in (*graph.inputs, *graph.outputs)}
    for node in graph:
        for value in node.outputs:
            if value.name in reserved and id(value) not in outside:
                value.name = f"{value.name}_inner"
    for name, value in list(graph.initializers.items()):
        if name in reserved and id(value) not in outside:
            value.name = f"{name}_inner"
    made = {
        str(size): str(wanted)
        for value, port in zip(graph.inputs, network.inputs.values(), strict=True)
        for size, wanted in zip(value.shape, port.sizes, strict=True)
        if isinstance(wanted, str)
    }
    import onnx_ir

    for value in (*graph.inputs, *graph.outputs):
        value.shape = onnx_ir.Shape(
            [size if isinstance(size, int) else made.get(str(size), str(size)) for size in value.shape]
        )


def session_of(content: "Path | bytes") -> Any:
    """A session of ONNX Runtime on the CPU, with as many threads as torch has.

    Raises:
        CheckpointError: it cannot load the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Threads that wait for work would spin on cores that others need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = str(content) if isinstance(content, Path) else content
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class below Exception
        where = content.name if isinstance(content, Path) else ""
        raise CheckpointError(
            f"ONNX Runtime cannot load the file: {reason_of(error)}", where=where
        ) from error


@final
class OnnxRebuilt(Rebuilt):
    """An ONNX file in ONNX Runtime.

    Args:
        path: The file.
        names: Of its inputs, in the order in which tensors come.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self.session: Any = session_of(path)

    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What it returns."""
        made = self.session.run(None, self.feed(tensors))
        return [torch.from_numpy(value) for value in made]

    def feed(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """The tensors as ONNX Runtime takes them."""
        return {name: tensor.numpy() for name, tensor in zip(self.names, tensors, strict=True)}

    def inner(self, tensors: Sequence[Tensor]) -> Inner:
        """What the last node of each module made."""
        import onnx

        model = onnx.load(self.path)
        values: dict[str, str] = {}
        for node in model.graph.node:
            for scope in ast.literal_eval(_scopes(node)):
                values[scope] = node.output[0]
        known = {value.name for value in model.graph.output}
        for value in dict.fromkeys(values.values()):
            if value not in known:
                model.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
        session = session_of(model.SerializeToString())
        wanted = list(dict.fromkeys(values.values()))
        made = dict(zip(wanted, session.run(wanted, self.feed(tensors)), strict=True))
        return {scope: torch.from_numpy(made[value]) for scope, value in values.items() if made[value].ndim}


def _scopes(node: Any) -> str:
    return next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
