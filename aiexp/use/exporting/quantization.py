"""A smaller copy of an ONNX file, weights in 8 bits, and what that costs and brings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, final

import torch
from torch import Tensor

from aiexp.errors import CheckpointError, reason_of
from aiexp.prediction.network import Network
from aiexp.task.base import LOGITS
from aiexp.use.exporting.examples import Case, Data, made_up, tensors_in
from aiexp.use.exporting.onnx_form import OnnxRebuilt
from aiexp.use.exporting.parity import called, difference
from aiexp.use.exporting.program import quiet

MOST_EXAMPLES = 2000
TIMED_SIZE = 32  # of free dimensions but the first: one input of so many tokens
TIMED_CALLS, LONGEST_SECONDS = 30, 2.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """The smaller file beside the original.

    Args:
        file: Its name.
        num_bytes: Of both, the original first.
        milliseconds: Median of one input in ONNX Runtime, likewise.
        largest_difference: Of what they return for the cases that the original was tried on.
        accuracy: Of both on `num_examples` of `split`; None where there are no classes or no data.
        num_examples: How many.
        split: Of the data.
    """

    file: str
    num_bytes: tuple[int, int]
    milliseconds: tuple[float, float]
    largest_difference: float
    accuracy: tuple[float, float] | None = None
    num_examples: int = 0
    split: str = ""

    def line(self) -> str:
        """All of it for people."""
        before, after = self.num_bytes
        parts = [f"{self.file}, {after / 1e6:.1f} MB ({after / before:.0%} of {before / 1e6:.1f})"]
        if self.accuracy is not None:
            ours, theirs = self.accuracy
            parts.append(
                f"accuracy {theirs:.4f}, was {ours:.4f} ({self.num_examples} of the {self.split} split)"
            )
        else:
            parts.append(f"largest difference {self.largest_difference:.1e}")
        old, new = self.milliseconds
        parts.append(f"{new:.2f} ms an input, was {old:.2f}")
        return "; ".join(parts)


def quantize(name: str, network: Network, folder: Path, cases: Sequence[Case], data: Data) -> Quantized:
    """Writes `NAME.int8.onnx` beside `NAME.onnx`.

    Weights are rounded channel by channel, which for MiniLM loses a quarter of what it does tensor by tensor;
    what flows between layers is rounded as it comes, so that nothing has to be calibrated.

    Raises:
        CheckpointError: the network has nothing to round, or ONNX Runtime cannot compute with it.
    """
    source, target = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
    names = list(network.inputs)
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with quiet():
            quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        ours, theirs = OnnxRebuilt(source, names), OnnxRebuilt(target, names)
        apart = [
            difference(a, b)
            for case in cases
            for a, b in zip(called(network, case), theirs.outputs(case), strict=True)
        ]
    except Exception as error:  # its errors share no class below Exception
        raise CheckpointError(
            f"network '{name}' cannot be computed in int8: {reason_of(error)}", where=name,
            fix="leave --quantize out",
        ) from error  # fmt: skip
    accuracies = _accuracies(name, network, (ours, theirs), data)
    one = [tensor[:1] for tensor in made_up(network, TIMED_SIZE)]
    return Quantized(
        file=target.name,
        num_bytes=(source.stat().st_size, target.stat().st_size),
        milliseconds=(milliseconds(ours, one), milliseconds(theirs, one)),
        largest_difference=max(apart),
        **accuracies,
    )


def _accuracies(
    name: str, network: Network, both: tuple[OnnxRebuilt, OnnxRebuilt], data: Data
) -> dict[str, Any]:
    """The fields that say how often each is right."""
    right, total = [0, 0], 0
    for batch in data.batches():
        labels, case = batch.get("labels"), tensors_in(batch, network)
        if name != LOGITS or not isinstance(labels, Tensor) or case is None or total >= MOST_EXAMPLES:
            break
        for place, rebuilt in enumerate(both):
            right[place] += int((rebuilt.outputs(case)[0].argmax(1) == labels).sum())
        total += len(labels)
    if not total:
        return {}
    accuracy = (right[0] / total, right[1] / total)
    return {"accuracy": accuracy, "num_examples": total, "split": data.split}


def milliseconds(rebuilt: Any, case: Sequence[Tensor]) -> float:
    """The median time of a call, on as many threads as torch has."""
    times: list[float] = []
    rebuilt.outputs(case)
    began = time.perf_counter()
    while len(times) < TIMED_CALLS and (not times or time.perf_counter() - began < LONGEST_SECONDS):
        start = time.perf_counter()
        with torch.inference_mode():
            rebuilt.outputs(case)
        times.append(time.perf_counter() - start)
    return 1000 * median(times)
