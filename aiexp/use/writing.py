"""Answers as lines of text, JSON Lines or CSV, and their pictures as files."""

import csv
import json
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TextIO, final

from aiexp.config.dotted import flatten
from aiexp.prediction.prediction import Prediction
from aiexp.storage.files import storage_errors, write_bytes
from aiexp.text.terminal import visible, visible_lines
from aiexp.use.predicting import Answer

FORMATS = ("text", "jsonl", "csv")


class Writer(ABC):
    """Writes answers, one after the other.

    Args:
        stream: Where to.
        pictures: The folder of pictures; None: there are none to keep.
    """

    def __init__(self, stream: TextIO, pictures: Path | None) -> None:
        self.stream, self.pictures = stream, pictures
        self._taken: set[str] = set()

    def write(self, answer: Answer, prediction: Prediction) -> None:
        """Writes one answer, its pictures first.

        Raises:
            StorageError: the disk is full or closed.
        """
        self.write_line(answer, prediction, self._keep(answer.name, prediction))

    @abstractmethod
    def write_line(self, answer: Answer, prediction: Prediction, files: dict[str, str]) -> None:
        """Writes it, with the paths of its pictures by their names."""

    def _keep(self, name: str, prediction: Prediction) -> dict[str, str]:
        """Paths of the pictures of a prediction, written."""
        files: dict[str, str] = {}
        for title, content in prediction.pictures.items():
            assert self.pictures is not None
            suffix = "gif" if content.startswith(b"GIF8") else "png"
            several = f"_{title}" if len(prediction.pictures) > 1 else ""
            path = self.pictures / f"{self._free(stem_of(name) + several)}.{suffix}"
            with storage_errors("writing a picture", path, "--out FOLDER"):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, content)
            files[title] = str(path)
        return files

    def _free(self, stem: str) -> str:
        """A file's stem that no other input of this call has."""
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name


@final
class TextWriter(Writer):
    """A line for each answer: input and answer, a tab between."""

    def write_line(self, answer: Answer, prediction: Prediction, files: dict[str, str]) -> None:
        """Writes it; a text of many lines stands for itself, an empty line after it."""
        if prediction.text:
            self.stream.write(f"{visible_lines(prediction.text)}\n\n")
            return
        shown = answer.value if isinstance(answer.value, str) else answer.name
        shown = " ".join(shown.split())
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        paths = "".join(f"  {path}" for path in files.values())
        self.stream.write(f"{visible(prediction.line)}{paths}\t{visible(shown)}\n")


@final
class JsonWriter(Writer):
    """A JSON object a line: "input", the values of the answer, paths of pictures."""

    def write_line(self, answer: Answer, prediction: Prediction, files: dict[str, str]) -> None:
        """Writes it."""
        content = {"input": answer.name, **prediction.values, **({"files": files} if files else {})}
        self.stream.write(json.dumps(content, ensure_ascii=False) + "\n")


@final
class CsvWriter(Writer):
    """A row for each answer, nested values as columns `probabilities.positive`."""

    def __init__(self, stream: TextIO, pictures: Path | None) -> None:
        super().__init__(stream, pictures)
        self._columns: list[str] = []
        self._writer = csv.writer(stream, lineterminator="\n")

    def write_line(self, answer: Answer, prediction: Prediction, files: dict[str, str]) -> None:
        """Writes it, before the first the names of the columns."""
        row = {"input": answer.name, **flat(prediction.values), **files}
        if not self._columns:
            self._columns = list(row)
            self._writer.writerow(self._columns)
        self._writer.writerow([row.get(name, "") for name in self._columns])


WRITERS: dict[str, type[Writer]] = dict(zip(FORMATS, (TextWriter, JsonWriter, CsvWriter), strict=True))


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values by dotted names; lists as JSON."""
    return {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in flatten(values).items()}


def stem_of(name: str) -> str:
    """A file's stem for an input, of its last part: `photos/a b.png` becomes `a-b`."""
    stem = os.path.splitext(os.path.basename(name.rstrip("/")))[0] or "input"
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-.")[:80] or "input"
