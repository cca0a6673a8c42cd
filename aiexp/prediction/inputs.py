"""The contract of a kind of inputs: texts, pictures, seeds, ..."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aiexp.errors import ConfigError, DataError
from aiexp.prediction.network import Port

Json = dict[str, Any]


class Inputs(ABC):
    """How one input of a task looks, and how a batch is made of some.

    An input goes three ways: as a value (from Python, JSON, a cell of a table, a file's path), made ready by
    `prepare`, and in a batch by `collate`. `Task.predict` takes the batch.
    """

    # What one is called, in messages: "a text".
    noun: ClassVar[str]
    # What one types after `aiexp predict RUN`, in capitals what is to be replaced.
    example: ClassVar[str] = "INPUT"
    # Ends of names, in lower case, of files that hold one input each; other files are tables or lines.
    suffixes: ClassVar[frozenset[str]] = frozenset()
    # Whether a word of the command line that names no file is an input by itself.
    is_word: ClassVar[bool] = False
    # Columns of a table whose cells make one input together; empty: one column does.
    columns: Sequence[str] = ()
    # Names of settings that the kind takes beside its inputs, which are flags of `aiexp predict`.
    options: ClassVar[tuple[str, ...]] = ()
    # JSON schemas of those settings that may come with a request over a network: what it gives is a value,
    # never a path of this machine.
    remote_options: ClassVar[Mapping[str, Json]] = {}
    # JSON schema of a value.
    schema: ClassVar[Json]

    def configure(self, **options: Any) -> None:
        """Takes settings, before anything is prepared.

        Raises:
            ConfigError: one that the kind does not have, or a value that cannot be.
        """
        for name in options:
            if name not in self.options:
                known = ", ".join(flag(option) for option in self.options) or "no settings"
                raise ConfigError(f"for {self.noun} there is no {flag(name)}", fix=f"there are {known}")

    def made(self) -> Iterator[Any] | None:
        """Inputs that nobody has to give, such as seeds; None where they must be given."""
        return None

    @abstractmethod
    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """What `collate` takes, for each value; for what cannot be used the `AiexpError` that says why."""

    @abstractmethod
    def collate(self, examples: Sequence[Any]) -> Any:
        """A batch on the CPU, as those of an evaluation but without labels."""

    def ports(self) -> dict[str, Port]:
        """The tensors of a batch by name, where it is a dict of tensors; what a network is exported with."""
        return {}

    def files(self) -> dict[str, bytes]:
        """What `prepare` needs elsewhere, such as a tokenizer: files by name, for an exported network."""
        return {}

    def length(self, example: Any) -> int:
        """What an example costs in a batch; those of like length are put together."""
        return 0


def flag(option: str) -> str:
    """A setting as it is typed: `max_tokens` as `--max-tokens`."""
    return "--" + option.replace("_", "-")


def text_problem(noun: str, value: Any) -> DataError | None:
    """Why a value is no text that a tokenizer takes; an empty one is."""
    if not isinstance(value, str):
        return refused(noun, value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return DataError("this is not valid Unicode (a lone surrogate)")
    return None


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A setting as a whole number in [low, high].

    Raises:
        ConfigError: it is none.
    """
    made = number(name, value, low, high, kind="a whole number")
    if made != int(made):
        raise ConfigError(f"{flag(name)} is {value}", fix=f"a whole number from {low} to {high}")
    return int(made)


def number(name: str, value: Any, low: float, high: float, *, kind: str = "a number") -> float:
    """A setting as a number in [low, high].

    Raises:
        ConfigError: it is none.
    """
    try:
        made = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        made = math.nan
    if not low <= made <= high:
        raise ConfigError(f"{flag(name)} is {value}", fix=f"{kind} from {low:.10g} to {high:.10g}")
    return made


def refused(noun: str, value: Any) -> DataError:
    """The error for a value of another kind."""
    return DataError(f"this is a {type(value).__name__}, and {noun} is wanted")
