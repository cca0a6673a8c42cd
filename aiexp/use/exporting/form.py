"""What a form of export is: it writes a network, and reads back what it wrote."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from aiexp.prediction.network import Network

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

# What modules returned, by their dotted names, in the order in which they were done.
Inner = dict[str, Tensor]


class Rebuilt(ABC):
    """A network that was read back from files."""

    @abstractmethod
    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What it returns."""

    def inner(self, tensors: Sequence[Tensor]) -> Inner:
        """What the modules inside it returned, as far as they can be told by their names."""
        return {}


class Form(ABC):
    """A form of export; made for one run.

    Args:
        run: With its task on the CPU.
        networks: What the task names, by name.
    """

    # End of a network's file.
    suffix: ClassVar[str]
    # How the card loads `NAME.suffix` as `network`, and calls it with a dict `inputs` of numpy arrays.
    imports: ClassVar[str]
    loads: ClassVar[str]
    calls: ClassVar[str]

    def __init__(self, run: "LoadedRun", networks: dict[str, Network]) -> None:
        self.run, self.networks = run, networks

    @abstractmethod
    def check(self) -> None:
        """Looks whether it can be, before any work is done.

        Raises:
            HardwareError: a library is missing.
            ConfigError: the task has no such form.
        """

    def files(self) -> dict[str, Callable[[Path], object]]:
        """What is written beside the networks, by name."""
        return {}

    @abstractmethod
    def write(self, name: str, folder: Path) -> None:
        """Writes a network into a folder."""

    @abstractmethod
    def read(self, name: str, folder: Path) -> Rebuilt:
        """Reads it back."""
