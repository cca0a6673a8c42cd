"""Memory for the copy of a state that is written while training changes the state itself."""

from typing import final

import numpy as np
import torch
from torch import Tensor

from aiexp.checkpoint.part import Part
from aiexp.checkpoint.tensors import raw_bytes


@final
class Staging:
    """Copies tensors to the CPU, each time into the same memory: new pages cost as much as the copy.

    It takes as much memory of the machine as a checkpoint is large.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def copies(self, file: str, tensors: dict[str, Tensor | Part]) -> dict[str, Tensor | Part]:
        """Copies of the tensors of a file, which stay as they are until the next call for it."""
        copied: dict[str, Tensor | Part] = {}
        for name, tensor in tensors.items():
            if isinstance(tensor, Part):
                rows = self._copy(f"{file}:{name}", tensor.rows)
                copied[name] = Part(rows=rows, start=tensor.start, num_rows=tensor.num_rows)
            else:
                copied[name] = self._copy(f"{file}:{name}", tensor)
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return copied

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        held = self._held.get(name)
        if held is None or held.shape != tensor.shape or held.dtype != tensor.dtype:
            held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._held[name] = held
        if tensor.is_cuda or not tensor.is_contiguous():
            return held.copy_(tensor, non_blocking=True)
        # One thread's plain copy: half of the time of torch's, whose threads wait for each other.
        np.copyto(raw_bytes(held), raw_bytes(tensor))
        return held
