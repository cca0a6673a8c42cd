"""Seeds as inputs: of noise to make a picture from, of an episode to play."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, refused, whole

LARGEST_SEED = 2**31 - 1
MOST = 10_000_000


class Seeds(Inputs):
    """Whole numbers from 0 on, each the seed of one sample; a batch is the list of them.

    Args:
        count: How many are made where none are given.
    """

    noun = "a seed"
    example = "--count 64 --out samples"
    is_word = True
    options = ("count", "seed")
    schema: ClassVar[Json] = {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED}

    def __init__(self, count: int) -> None:
        self.count, self.first = count, 0

    def configure(self, **options: Any) -> None:
        """Takes `count` and `seed`, the first of that many."""
        super().configure(**options)
        self.count = whole("count", options.get("count", self.count), 1, MOST)
        self.first = whole("seed", options.get("seed", self.first), 0, LARGEST_SEED - self.count + 1)

    def made(self) -> Iterator[int]:
        """So many from the first on."""
        return iter(range(self.first, self.first + self.count))

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """The numbers; text of digits is one."""
        return [read_seed(value) for value in values]

    def collate(self, examples: Sequence[Any]) -> Any:
        """The seeds."""
        return list(examples)


def read_seed(value: Any) -> int | DataError:
    """A seed, or why it is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, str):
        return DataError(f"'{value[:40]}' is no seed", fix=f"a whole number, 0 to {LARGEST_SEED}")
    if not isinstance(value, int) or isinstance(value, bool):
        return refused(Seeds.noun, value)
    return (
        value if 0 <= value <= LARGEST_SEED else DataError(f"{value} is no seed", fix=f"0 to {LARGEST_SEED}")
    )
