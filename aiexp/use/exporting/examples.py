"""What a network is tried on: examples of the run's data where they can be had, else made-up tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from torch import Tensor

from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.config.objects.build import build
from aiexp.errors import AiexpError
from aiexp.experiment import build_task
from aiexp.model.carried import carried_by
from aiexp.prediction.network import Network
from aiexp.rundir.code.copied import used_code_of
from aiexp.rundir.file import MODEL
from aiexp.runs.loaded import Say
from aiexp.source.fetch import asked_for
from aiexp.use.exporting.program import fitting, free_sizes

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

NUM_EXAMPLES = 32
# Of free dimensions, tried with made-up values whatever the data are.
TRIED_SIZES = (1, 2, 7)
SPLITS = ("test", "eval")
Case = list[Tensor]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The data of a run, as far as they are here.

    Args:
        dataset: None where they are not.
        split: The one that examples are of.
        fetched: Names in the catalog of what they came from.
    """

    dataset: Any
    split: str
    fetched: list[str]

    def batches(self) -> Iterator[dict[str, Any]]:
        """The batches of the split that are dicts."""
        if self.dataset is not None:
            yield from (batch for batch in self.dataset.eval_batches(self.split) if isinstance(batch, dict))


def find_data(run: "LoadedRun", say: Say) -> Data:
    """The data set of a run, built as for training and made ready by a task that is then thrown away."""
    random = random_state()
    with asked_for() as fetched:
        try:
            with used_code_of(run.directory.path), carried_by(run.directory.path / MODEL):
                dataset = build(run.config["dataset"])
                build_task(run.config, dataset)
        except AiexpError as error:
            say(f"the data set cannot be read, so made-up inputs are tried: {error.what}")
            dataset = None
        finally:
            load_random_state(random)
    split = next((name for name in SPLITS if dataset is not None and dataset.num_examples(name)), "")
    return Data(dataset=dataset if split else None, split=split, fetched=list(dict.fromkeys(fetched)))


def real_cases(network: Network, data: Data, count: int = NUM_EXAMPLES) -> list[Case]:
    """So many examples in the batches of an evaluation; none where those have other tensors."""
    cases: list[Case] = []
    left = count
    for batch in data.batches():
        case = tensors_in(batch, network)
        if case is None or left <= 0:
            break
        cases.append([tensor[:left] for tensor in case])
        left -= len(case[0])
    return cases


def tensors_in(batch: dict[str, Any], network: Network) -> Case | None:
    """The tensors of a batch that a network takes; None unless all are there."""
    case: Case = []
    for name, port in network.inputs.items():
        tensor = batch.get(name)
        if not isinstance(tensor, Tensor) or tensor.dtype != port.dtype or tensor.dim() != len(port.sizes):
            return None
        if any(
            isinstance(want, int) and want != got for want, got in zip(port.sizes, tensor.shape, strict=True)
        ):
            return None
        case.append(tensor.cpu())
    return case


def made_up(network: Network, size: int, *, is_long: bool = False) -> Case:
    """Made-up tensors, free dimensions near a size as may be; if long, limited ones at their most."""
    sizes = {
        name: high if is_long and high is not None else fitting((low, high), size)
        for name, (low, high) in free_sizes(network).items()
    }
    return [port.example(sizes) for port in network.inputs.values()]


def cases_of(network: Network, data: Data) -> tuple[list[Case], str]:
    """What a network is tried on, and a phrase that says it.

    Real examples in their batches and one alone, then made-up ones of several sizes.
    """
    others = [made_up(network, size) for size in TRIED_SIZES] + [made_up(network, 2, is_long=True)]
    real = real_cases(network, data)
    if not real:
        return [made_up(network, NUM_EXAMPLES), *others], f"{NUM_EXAMPLES} made-up examples"
    count = sum(len(case[0]) for case in real)
    return [*real, [tensor[:1] for tensor in real[0]], *others], f"{count} examples of the {data.split} split"
