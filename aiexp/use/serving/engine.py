"""ONNX Runtime in place of a task's network: who asks it, and what is made of its answers, stays as it is."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from aiexp.errors import AiexpError, ConfigError
from aiexp.prediction.network import Logits, Network
from aiexp.storage.reader import read_bytes
from aiexp.task.base import Task
from aiexp.use.exporting.examples import Case, Data, cases_of
from aiexp.use.exporting.export import FOLDER, RECORD, file_name
from aiexp.use.exporting.form import Rebuilt
from aiexp.use.exporting.onnx_form import OnnxForm, OnnxRebuilt
from aiexp.use.exporting.parity import check

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

EAGER, ONNX = "eager", "onnx"
MOST_BYTES = 2**20  # of the record of an export
FIX = f"--engine {EAGER}"
NO_DATA = Data(dataset=None, split="", fetched=[])  # a server starts where the data are not


def use_onnx(run: "LoadedRun") -> float:
    """Lets ONNX Runtime compute a task's network from now on; returns by how much it differs at most.

    The network is exported, read back and compared as `aiexp export` does, on made-up inputs. That takes
    seconds to a minute and leaves nothing on the disk; what `aiexp export RUN --to onnx` has left in the run
    is taken instead, and compared all the same. The weights stay in the task, for others to look at.

    Args:
        run: On the CPU; its task answers to nobody yet.

    Raises:
        ConfigError: the task does not answer by one network as it is, or that cannot be exported.
        CheckpointError: ONNX Runtime makes something else of it.
        HardwareError: a library is missing.
    """
    task = run.task.to(memory_format=torch.contiguous_format)
    name, network = answering(task)
    form = OnnxForm(run, {name: network})
    form.check()
    cases, _ = cases_of(network, NO_DATA)
    rebuilt, largest = kept(run, form, name, cases) or made(form, name, cases)
    put(task, network, rebuilt)
    return largest


def made(form: OnnxForm, name: str, cases: Sequence[Case]) -> tuple[OnnxRebuilt, float]:
    """A network out of a new file, and by how much it differs; raises as `use_onnx` does."""
    with TemporaryDirectory(prefix="aiexp-") as folder:
        form.write(name, Path(folder))
        rebuilt = form.read(name, Path(folder))
        return rebuilt, check(name, form.networks[name], rebuilt, cases)


def kept(
    run: "LoadedRun", form: OnnxForm, name: str, cases: Sequence[Case]
) -> tuple[OnnxRebuilt, float] | None:
    """The same out of what `aiexp export` has left in the run; None if that is nothing of this checkpoint."""
    folder = run.directory.path / FOLDER / ONNX
    try:
        record: Any = json.loads(read_bytes(folder / RECORD, MOST_BYTES))
        if record["step"] != run.step:
            return None
        rebuilt = form.read(name, folder)
        return rebuilt, check(name, form.networks[name], rebuilt, cases)
    except (OSError, ValueError, LookupError, TypeError, AiexpError):  # none, or a damaged one
        return None


def answering(task: Task) -> tuple[str, Network]:
    """The one network that a task answers by, and its name.

    Raises:
        ConfigError: there is none, or not one alone, or what the task does with it no engine can.
    """
    networks = task.networks()
    kind = type(task).__name__
    if len(networks) != 1:
        raise ConfigError(
            f"{kind} has {len(networks)} networks ({', '.join(networks)}), and an engine stands in for one",
            where="--engine", fix=FIX,
        )  # fmt: skip
    ((name, network),) = networks.items()
    if network.adapts:
        raise ConfigError(
            f"{kind} adapts its network '{name}' to what it is asked, which no other engine can",
            where="--engine", fix=FIX,
        )  # fmt: skip
    if not is_logits(task, network) and not any(module is network.module for module in task.modules()):
        raise ConfigError(
            f"the network '{name}' of {kind} is made for an export: the task does not answer by it",
            where="--engine", fix=FIX,
        )  # fmt: skip
    return file_name(name), network


def is_logits(task: Task, network: Network) -> bool:
    """Whether a network is `logits` of its task."""
    return isinstance(network.module, Logits) and network.module.task is task


def put(task: Task, network: Network, rebuilt: Rebuilt) -> None:
    """Puts a network that was read back in the place of the task's own."""
    stand_in = StandIn(network, rebuilt)
    if not is_logits(task, network):
        setattr(network.module, "forward", stand_in)  # noqa: B010
        return

    def logits(batch: Mapping[str, Any]) -> Any:
        return stand_in(*(batch[name] for name in network.inputs))

    setattr(task, "logits", logits)  # noqa: B010


@final
class StandIn:
    """Called as a network is, answers by another.

    Args:
        network: Whose place it takes.
        rebuilt: Who answers.
    """

    def __init__(self, network: Network, rebuilt: Rebuilt) -> None:
        self._module, self._rebuilt = network.module, rebuilt
        self._dtypes = [port.dtype for port in network.inputs.values()]
        self._weight = first_weight(network.module)
        case = cases_of(network, NO_DATA)[0][0]
        with torch.no_grad():
            self._is_single = isinstance(network.module(*case), Tensor)

    def __call__(self, *tensors: Tensor) -> Any:
        """What the network returns.

        Raises:
            ConfigError: it is called with other weights than it was exported with.
        """
        if first_weight(self._module) is not self._weight:
            raise ConfigError(
                "a task calls its network with other weights, which no other engine can",
                where="Network.adapts", fix="adapts=True in Task.networks: aiexp/prediction/network.py",
            )  # fmt: skip
        wanted = [tensor.to(dtype) for tensor, dtype in zip(tensors, self._dtypes, strict=True)]
        made: Sequence[Tensor] = self._rebuilt.outputs(wanted)
        return made[0] if self._is_single else tuple(made)


def first_weight(module: nn.Module) -> nn.Parameter | None:
    """One of the weights, by which others in its place are noticed."""
    return next(module.parameters(), None)
