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
    def num_trained(self) -> int:
        """Of these the numbers that learn."""
        ...

    @property
    def sizes(self) -> dict[str, int | None]:
        """Examples in each split; None of a stream."""
        ...


def described_parameters(parts: Parts) -> str:
    """`22,787,714 parameters, 0.33 % trained`; without a share where all are."""
    count, trained = parts.num_parameters, parts.num_trained
    share = "" if trained == count else f", {100 * trained / count:.2g} % trained"
    return f"{count:,} parameters{share}"


def described_sizes(parts: Parts, limit: int | None) -> str:
    """`8033 train, 1003 eval, 1004 test`, or `8 train environments, ...`, and whether that is not all.

    Args:
        parts: Of the run.
        limit: The data set's, if it has one.
    """
    from aiexp.dataset.base import units_of

    units = units_of(parts.dataset)
    counts = ", ".join(
        f"{'a stream to' if n is None else n} {split} {units.get(split, '')}".rstrip()
        for split, n in parts.sizes.items()
    )
    if limit is None or limit not in parts.sizes.values():  # that is all there is
        return counts
    return f"{counts} (dataset.limit={limit} cuts every split, eval and test too)"


def check_same_data(world: World, fingerprint: str) -> None:
    """Raises `DataError` unless every rank has read the same data set."""
    odd = world.odd_rank(fingerprint)
    if odd is not None:
        raise DataError(f"rank {odd} has read another data set than rank 0", where="dataset")
