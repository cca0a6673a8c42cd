"""The contract of a data set: batches by number, so that resuming needs at most a position to find them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, runtime_checkable

from numpy.typing import NDArray

from aiexp.ranges import NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from aiexp.dataset.environment.copies import EnvironmentCopies
    from aiexp.dataset.environment.space import Spaces
    from aiexp.dataset.image.pixels import Pixels


class Batching(TypedDict):
    """Arguments that data sets share.

    Args:
        batch_size: Examples in a training batch.
        eval_batch_size: Examples in an evaluation batch.
        seed: Of the order of the training batches; the splits do not depend on it.
    """

    batch_size: PositiveInt
    eval_batch_size: PositiveInt
    seed: NonNegativeInt


@runtime_checkable
class Dataset(Protocol):
    """Examples in splits "train", "eval" (validation) and "test".

    A training batch is a pure function of the data set's settings, its seed and the batch's number:
    the order, the augmentation and the padding of batch `k` are the same whoever asks and with any
    number of loader workers. That makes exact resume a matter of one integer.
    """

    batch_size: int

    def num_examples(self, split: str) -> int | None:
        """Examples in `split`; 0 when the split does not exist, None when nobody knows: of a stream."""
        ...

    def batches_per_epoch(self) -> int | None:
        """Training batches in one pass over the training split; None when nobody knows."""
        ...

    def train_batches(self, start: int) -> Iterator[Any]:
        """Endless training batches, beginning with batch number `start` (0 is the first of epoch 0)."""
        ...

    def eval_batches(self, split: str) -> Iterator[Any]:
        """Every example of `split` once, in a fixed order."""
        ...

    def fingerprint(self) -> str:
        """sha256 (hex) over the examples and their split, in order: equal data, equal fingerprint."""
        ...


@runtime_checkable
class Positioned(Protocol):
    """A data set that is read in order, and found again by its position: `text.stream.StreamedTexts`.

    Batches remain a function of their number. The position only saves reading what came before.
    """

    def state(self, start: int) -> dict[str, Any]:
        """What a checkpoint holds, as JSON values, to go on with batch number `start`."""
        ...

    def load_state(self, state: dict[str, Any] | None) -> None:
        """Takes what `state` returned, before batches are asked for; None from a checkpoint without it."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A data set whose `num_examples` counts something else than examples, such as episodes."""

    units: Mapping[str, str]  # of each split, in the plural


def units_of(dataset: Dataset) -> Mapping[str, str]:
    """What it counts in each split; empty for examples."""
    return dataset.units if isinstance(dataset, Counted) else {}


class Sized(Dataset, Protocol):
    """A data set of known size."""

    def num_examples(self, split: str) -> int:
        """Examples in `split`; 0 when the split does not exist."""
        ...

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split."""
        ...


class TextData(Dataset, Protocol):
    """Labelled texts: `aiexp.dataset.text.dataset.TextDataset`, or any other with these members."""

    class_names: list[str]

    def tokenize(self, tokenizer: Any, max_tokens: int) -> None:
        """Makes token numbers of the texts, once, before the first batch is asked for."""
        ...

    def texts(self, split: str) -> Sequence[str]:
        """The texts of a split, in the order of a batch's `index`."""
        ...

    def class_counts(self) -> NDArray[Any]:
        """(C,) training examples of each class."""
        ...


class LanguageData(Dataset, Protocol):
    """Running text: `aiexp.dataset.language.dataset.LanguageDataset`, or any other with these members.

    A batch is a dict with `input_ids` and `targets`, (B, T) int64 both: the token after each.
    """

    context: int  # longest T
    has_documents: bool  # whether a token that ends one stands before each and after the last

    def make_tokenizer(self) -> Any:
        """A tokenizer for this text, where the model brings none."""
        ...

    def tokenize(self, tokenizer: Any) -> None:
        """Makes token numbers of the text, once, before the first batch is asked for."""
        ...

    def characters_per_token(self, split: str) -> float:
        """Length of the text of a split in characters by its length in tokens."""
        ...

    def bytes_per_token(self, split: str) -> float:
        """The same in bytes of UTF-8."""
        ...


class TaggingData(Sized, Protocol):
    """Tagged sentences: `aiexp.dataset.tagging.dataset.TaggingDataset`, or any other with these members."""

    tag_names: list[str]  # of training, in the order of their labels
    scheme: str  # "plain", or how tags make spans: "iob2", "iobes"
    max_tokens: int  # longest row

    def tokenize(self, encoding: Any) -> None:
        """Makes what a model reads, once, before the first batch is asked for: an `Encoding`."""
        ...

    def word_counts(self) -> Mapping[str, int]:
        """How often each word occurs in training."""
        ...

    def words(self, split: str, sentence: int) -> list[str]:
        """The words of a sentence, by a batch's `index`."""
        ...

    def tags(self, split: str, sentence: int) -> list[str]:
        """Its tags, those too that do not occur in training."""
        ...


class TokenData(LanguageData, Protocol):
    """Running text whose tokens are counted too: `LanguageDataset`, or any other with these members."""

    def row(self, split: str) -> Any:
        """(N,) the token numbers of a split in order, an `aiexp.storage.array.Array`."""
        ...


class ImageData(Sized, Protocol):
    """Labelled images: `aiexp.dataset.image.dataset.ImageDataset`, or any other with these members."""

    class_names: list[str]
    channels: int
    image_size: int
    mean: list[float]
    std: list[float]

    def images(self, split: str) -> "Pixels":
        """(N, C, H, W) uint8, in the order of a batch's `index`: a tensor, or decoded when indexed."""
        ...

    def names(self, split: str) -> Sequence[str]:
        """A name for each of them."""
        ...


class VectorData(Sized, Protocol):
    """Arrays of numbers: `aiexp.dataset.array.dataset.ArrayDataset`, or any other with these members.

    A batch is a dict with `x` (B, ...) and what is to be found: `labels` (B,) int64, or `y`, (B,) or
    (B, T) float32.
    """

    class_names: list[str]  # empty where numbers are to be found
    feature_shape: list[int]  # of an example's `x`
    feature_names: list[str]  # of the numbers of a flat `x`; empty for none
    num_targets: int  # numbers of an example's `y`; 0 where classes are to be found


class FewShotData(Dataset, Protocol):
    """Small tasks to learn each from a few examples; see the room `dataset.few_shot`.

    A batch holds support_x, support_y, query_x and query_y of several tasks.
    """

    ways: int  # classes of a task; 0 for regression


class EnvironmentData(Dataset, Protocol):
    """Environments to act in: `Environments`, or any other with these members."""

    env_id: str
    num_envs: int
    frame_stack: int
    seed: int
    spaces: "Spaces"

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """(S, ...): of what the network sees, S being `frame_stack`."""
        ...

    def make(self, render_mode: str | None = None) -> Any:
        """A new environment with array observations."""
        ...

    def training_envs(self, numbers: Iterable[int] | None = None) -> "EnvironmentCopies":
        """The copies to act in, before their first episodes: those with these numbers, or all."""
        ...

    def players(self, count: int) -> list[Any]:
        """Environments for evaluation."""
        ...


class UnpairedData(Sized, Protocol):
    """Images of two kinds: `dataset.image.unpaired.UnpairedDataset`, or any other with these members."""

    aligned: bool
    channels: int
    image_size: int
