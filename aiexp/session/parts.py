"""What a session says of the run that it follows: its parts, as `aiexp.experiment` builds them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from aiexp.errors import DataError
from aiexp.world.world import World

if TYPE_CHECKING:  # a session begins before torch is imported
    from aiexp.dataset.base import Dataset
    from aiexp.hardware.hardware import Hardware
    from aiexp.task.base import Task


class Parts(Protocol):
    """The parts of a run, before its first step."""

    @property
    def hardware(self) -> "Hardware":
        """What it computes on."""
        ...

    @property
    def dataset(self) -> "Dataset":
        """What it learns from."""
        ...

    @property
    def task(self) -> "Task":
        """What it learns."""
        ...

    @property
    def carried(self) -> Mapping[str, bytes]:
        """Small files of its pretrained model, by name."""
        ...

    @property
    def num_parameters(self) -> int:
        """Numbers that the task holds in its networks."""
        ...

    @property
    def sizes(self) -> dict[str, int | None]:
        """Examples in each split; None of a stream."""
        ...


def described_sizes(sizes: Mapping[str, int | None]) -> str:
    """`8033 train, 1003 eval, 1004 test`."""
    return ", ".join(f"{'a stream to' if n is None else n} {split}" for split, n in sizes.items())


def check_same_data(world: World, fingerprint: str) -> None:
    """Raises `DataError` unless every rank has read the same data set."""
    odd = world.odd_rank(fingerprint)
    if odd is not None:
        raise DataError(f"rank {odd} has read another data set than rank 0", where="dataset")
