"""Steps that a GPU repeats by itself: recorded once as CUDA graphs, then replayed."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, final

import torch
from torch import Tensor

from aiexp.task.base import Task, pinned, to_device
from aiexp.task.contract import broken
from aiexp.trainer.finiteness import Later, Seen
from aiexp.trainer.window import Entry, Window

SIGHTINGS = 3  # of a layout: before, optimizers make their state, and libraries their workspaces
MOST_GRAPHS = 64  # layouts; a batch of another one is computed as without graphs


class Graph(Protocol):
    """What has been recorded."""

    def replay(self) -> None:
        """Does it again, on what the recorded memory holds now."""
        ...


# Records what a function does on a device, without doing it, and gives it back with what it returned.
Record = Callable[[Callable[[], Tensor]], tuple[Graph, Tensor]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step for batches of one layout.

    Args:
        graph: Replays it.
        inputs: Tensors of the batches, which the graph reads.
        outputs: (N,) float64: metrics, then the losses and the norm of each update.
        entries: The metrics, without values.
        updates: The updates, with tensors whose number alone matters.
    """

    graph: Graph
    inputs: list[Tensor]
    outputs: Tensor
    entries: list[Entry]
    updates: list[Seen]


@final
class Captures:
    """Runs steps, from the third on of a layout (the shapes and types of a batch's tensors) as graphs.

    What Python does in a step, hundreds of small launches, takes longer than a GPU needs to compute most of
    the networks here. A replay computes what the step would have: the same kernels, random numbers included.

    Args:
        task: Whose steps they are; asked before each whether it may be recorded.
        run: Computes step `number` on batches that lie on the device.
        metrics: Where the step counts.
        finiteness: What looks at its losses.
        optimizers: Of the task.
        record: Makes a graph.
        device: Of the task.
    """

    def __init__(
        self,
        task: Task,
        run: Callable[[int, list[Any]], None],
        *,
        metrics: Window,
        finiteness: Later,
        optimizers: Mapping[str, torch.optim.Optimizer],
        device: torch.device,
        record: Record | None = None,
    ) -> None:
        self.task, self.run, self.device = task, run, device
        self.metrics, self.finiteness = metrics, finiteness
        self.optimizers = optimizers
        # Others would have to be asked whether an update may be applied, which waits for the GPU.
        self.is_possible = all(group.get("fused") for group in self.groups)
        self.record: Record | None = record or (CudaGraphs() if self.is_possible else None)
        self.sightings: dict[Hashable, int] = {}
        self.recorded: dict[Hashable, Recorded] = {}

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Of all optimizers; loading a checkpoint replaces them."""
        return [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]

    def step(self, number: int, batches: list[Any]) -> None:
        """Runs step `number` on its batches, which lie on the CPU.

        Raises:
            ConfigError: the task says that it can be recorded, and it cannot.
        """
        tensors: list[Tensor] = []
        layout = layout_of(batches, tensors) if self.is_possible and self.task.capturable else None
        recorded = None if layout is None else self.recorded.get(layout)
        if recorded is None and not self._is_due(layout):
            self.run(number, to_device(batches, self.device))
            return
        if recorded is None:
            recorded = self.recorded[layout] = self._recorded(number, to_device(batches, self.device))
        else:
            for place, tensor in zip(recorded.inputs, tensors, strict=True):
                place.copy_(pinned(tensor, self.device), non_blocking=True)
        recorded.graph.replay()
        values = iter(recorded.outputs.clone().unbind())  # the next replay writes over them
        self.metrics.extend(recorded.entries, values)
        for update in recorded.updates:
            losses = [next(values) for _ in update.losses]
            norm = None if update.norm is None else next(values)
            self.finiteness.remember(Seen(update.name, number, losses, norm))

    def _is_due(self, layout: Hashable | None) -> bool:
        """Whether a layout that has not been recorded is to be, now that it is seen again."""
        if layout is None or len(self.recorded) == MOST_GRAPHS:
            return False
        self.sightings[layout] = self.sightings.get(layout, 0) + 1
        return self.sightings[layout] == SIGHTINGS

    def _recorded(self, number: int, batches: list[Any]) -> Recorded:
        inputs: list[Tensor] = []
        layout_of(batches, inputs)
        for group in self.groups:
            if "capturable" in group:
                group["capturable"] = True
        entries: list[Entry] = []
        updates: list[Seen] = []

        def step() -> Tensor:
            with self.metrics.recording() as counted, self.finiteness.recording() as seen:
                self.run(number, batches)
                entries[:], updates[:] = counted, seen
            numbers = [self._tensor(name, value) for name, value, _, _ in entries]
            for update in updates:
                numbers += update.losses if update.norm is None else [*update.losses, update.norm]
            return torch.stack(numbers)

        try:
            assert self.record is not None
            graph, outputs = self.record(step)
        except RuntimeError as error:
            if "captur" not in str(error):
                raise
            what = f"cannot be recorded as a CUDA graph: {str(error).splitlines()[0]}"
            raise broken(self.task, "train_step", what, fix="hardware.cuda_graphs=false") from error
        return Recorded(graph, inputs, outputs, entries, updates)

    def _tensor(self, name: str, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value
        what = f"has the Python number {value} as metric '{name}', which each replay would repeat"
        fix = "a tensor, Task.take_metrics, or hardware.cuda_graphs=false"
        raise broken(self.task, "train_step", what, fix=fix)


@final
class CudaGraphs:
    """Records on a stream that is the process's own from then on, in memory that all graphs share."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream()
        # Gradients are added up on the stream of the first step, which must be that of the recording.
        self.stream.wait_stream(torch.cuda.current_stream())
        torch.cuda.set_stream(self.stream)

    def __call__(self, step: Callable[[], Tensor]) -> tuple[Graph, Tensor]:
        """Records a step."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads that read data may go on.
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            outputs = step()
        return graph, outputs


def layout_of(value: Any, tensors: list[Tensor]) -> Hashable | None:
    """What two batches must have in common to be computed by one graph; None for one that has no graph.

    Args:
        value: Tensors and constants, nested in lists, tuples and dicts.
        tensors: Gets the tensors, in a fixed order.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return (value.dtype, tuple(value.shape), value.stride())
    parts: list[Any]
    if type(value) is dict:
        named = cast(dict[Any, Any], value)
        parts, kind = list(named.values()), tuple(named)
    elif type(value) in (list, tuple):
        parts, kind = list(cast(list[Any], value)), type(value).__name__
    else:
        return ("constant", value) if isinstance(value, str | int | float | bool | None) else None
    layouts = [layout_of(part, tensors) for part in parts]
    return None if any(layout is None for layout in layouts) else (kind, *layouts)
