"""Inputs beside which a few examples are given (the support set), from which a task learns what is asked."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.file import find_images
from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.prediction.inputs import Inputs, Json, refused
from aiexp.prediction.pictures import PictureInputs

# Tensor letters: K support examples, Q queries, C channels, H height, W width.

MOST_SUPPORT = 10_000


@final
class SupportedPictures(PictureInputs):
    """Pictures of classes of which a few are given, as dark ink on light ground.

    Args:
        image_size: As of `PictureInputs`.
        channels: As of `PictureInputs`.
        ways: Classes that the task tells apart; None for any number.
    """

    example = "PICTURE --support FOLDER"
    options = ("support",)
    remote_options: ClassVar[Mapping[str, Json]] = {
        "support": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": PictureInputs.schema, "minItems": 1},
            "minProperties": 2,
            "description": "pictures of each class, by its name",
        }
    }

    def __init__(self, image_size: int, channels: int, ways: int | None) -> None:
        super().__init__(image_size, channels)
        self.ways = ways
        self.class_names: list[str] = []
        self._support: Tensor | None = None  # (1, K, C, H, W)
        self._labels: Tensor | None = None  # (1, K)

    def configure(self, **options: Any) -> None:
        """Takes `support`: a folder with a folder of pictures for each class, or lists of pictures by class.

        Raises:
            ConfigError: as of `Inputs`, or the task tells another number of classes apart.
            DataError: a picture cannot be read, or a class has none.
        """
        super().configure(**options)
        if "support" not in options:
            return
        given = options["support"]
        classes = classes_of(given) if isinstance(given, str | Path) else dict(cast(Mapping[str, Any], given))
        if len(classes) < 2 or (self.ways is not None and len(classes) != self.ways):
            wanted = "at least 2 classes are" if self.ways is None else f"{self.ways} classes are"
            raise ConfigError(
                f"{wanted} told apart, and the support has {len(classes)}",
                where="--support", fix="a folder with a folder of pictures for each class",
            )  # fmt: skip
        labels = [label for label, pictures in enumerate(classes.values()) for _ in pictures]
        pixels = self.prepared([picture for pictures in classes.values() for picture in pictures])
        for example in pixels:
            if isinstance(example, AiexpError):
                raise example
        self.class_names = list(classes)
        self._support = bright(pixels)[None]
        self._labels = torch.tensor(labels)[None]

    def prepared(self, values: Sequence[Any]) -> list[Any]:
        """(C, H, W) uint8 of each picture, or why not, whether or not there is a support."""
        return super().prepare(values)

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """(C, H, W) uint8 of each picture.

        Raises:
            ConfigError: no support was given.
        """
        if self._support is None:
            raise ConfigError("a few pictures of each class are wanted", fix="--support FOLDER")
        return self.prepared(values)

    def collate(self, examples: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
        """An episode: support_x (1, K, C, H, W) float32, support_y (1, K), query_x (1, Q, C, H, W), names."""
        return {
            "support_x": self._support,
            "support_y": self._labels,
            "query_x": bright(examples)[None],
            "class_names": self.class_names,
        }

    def ports(self) -> dict[str, Any]:
        """None: an episode is no batch of a network."""
        return {}


@final
class SupportedNumbers(Inputs):
    """Numbers x to find y for, where a few pairs (x, y) are given."""

    noun = "a number"
    example = "0.5 --support POINTS.csv"
    is_word = True
    options = ("support",)
    schema: ClassVar[Json] = {"type": "number"}
    remote_options: ClassVar[Mapping[str, Json]] = {
        "support": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "minItems": 1,
            "description": "pairs x, y",
        }
    }

    def __init__(self) -> None:
        self._support: Tensor | None = None  # (K, 2)

    def configure(self, **options: Any) -> None:
        """Takes `support`: a CSV file with the columns x and y, or pairs.

        Raises:
            ConfigError: as of `Inputs`.
            DataError: there are no pairs of numbers.
        """
        super().configure(**options)
        if "support" not in options:
            return
        given = options["support"]
        pairs = pairs_of(Path(given)) if isinstance(given, str | Path) else list(given)
        rows = [tuple(map(number, cast(Sequence[Any], pair))) for pair in pairs]
        if not rows or any(len(row) != 2 or any(isinstance(v, DataError) for v in row) for row in rows):
            raise DataError("the support is no pairs of numbers x, y", where="--support")
        self._support = torch.tensor(cast(Any, rows), dtype=torch.float32)

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """The numbers; text of one is one.

        Raises:
            ConfigError: no support was given.
        """
        if self._support is None:
            raise ConfigError("a few pairs of numbers are wanted", fix="--support FILE.csv, columns x and y")
        return [number(value) for value in values]

    def collate(self, examples: Sequence[float]) -> dict[str, Any]:
        """support_x, support_y: (1, K, 1) float32; query_x: (1, Q, 1)."""
        assert self._support is not None
        x, y = self._support.unbind(1)
        query = torch.tensor(list(examples), dtype=torch.float32)
        return {"support_x": x[None, :, None], "support_y": y[None, :, None], "query_x": query[None, :, None]}


def bright(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """(N, C, H, W) float32 in [0, 1] of pictures of ink, which is bright then, as in training."""
    return 1 - torch.from_numpy(np.stack(pictures)).float() / 255


def classes_of(folder: str | Path) -> dict[str, list[Path]]:
    """The pictures of each class: of the folders in a folder, by name.

    Raises:
        DataError: there is no such folder, or a class without pictures.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError("there is no such folder", where=str(path), fix="--support FOLDER, a folder a class")
    classes = {
        each.name: find_images(each)
        for each in sorted(path.iterdir())
        if each.is_dir() and not each.name.startswith(".")
    }
    for name, pictures in classes.items():
        if not pictures:
            raise DataError(f"class '{name}' has no pictures", where=str(path / name))
    if sum(map(len, classes.values())) > MOST_SUPPORT:
        raise DataError(f"the support has more than {MOST_SUPPORT:,} pictures", where=str(path))
    return classes


def pairs_of(path: Path) -> list[list[str]]:
    """The rows of a CSV file with columns x and y."""
    path = path.expanduser()
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), fix="--support FILE.csv, columns x and y")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        if not {"x", "y"} <= set(rows.fieldnames or ()):
            raise DataError("the support has no columns x and y", where=str(path))
        return [[row["x"], row["y"]] for row, _ in zip(rows, range(MOST_SUPPORT), strict=False)]


def number(value: Any) -> float | DataError:
    """A finite number, or why it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return refused(SupportedNumbers.noun, value)
    try:
        made = float(value)
    except (ValueError, OverflowError):
        return DataError(f"'{value}' is no number")
    return made if math.isfinite(made) else DataError(f"{value} is not finite")
