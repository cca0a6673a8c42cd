"""The user's own running text: a text file, or a folder of them."""

from pathlib import Path
from typing import Unpack

from aiexp.dataset.language.dataset import LanguageDataset, Windows
from aiexp.dataset.language.running_text import Documents, Part, RunningText, check_text
from aiexp.dataset.language.tokens import count_characters
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import Share

SUFFIX = ".txt"


def text_file(
    *,
    train_file: str,
    eval_file: str | None,
    test_file: str | None,
    encoding: str,
    documents: Documents,
    eval_fraction: Share,
    test_fraction: Share,
    **windows: Unpack[Windows],
) -> LanguageDataset:
    """The text of one, two or three files; what has none of its own is cut off the end of the training file.

    Args:
        train_file: Path.
        eval_file: Path of the validation text, None to cut it off.
        test_file: Path of the test text, None to cut it off.
        encoding: Of the files, as Python names it.
        documents: What a document is: "files", "lines", "paragraphs"; "none": all is one text.
        eval_fraction: Share of the characters for validation when it has no file.
        test_fraction: Share of the characters for the test when it has no file.
        windows: See `Windows`.

    Raises:
        ConfigError: nothing would be left for training, or an unknown encoding.
        DataError: a file cannot be used.
    """
    check_encoding(encoding)
    given = {"train": train_file, "eval": eval_file, "test": test_file}
    texts: dict[str, RunningText] = {}
    for split, name in given.items():
        if name is not None:
            check_text(path := Path(name).expanduser())
            texts[split] = RunningText(name=name, paths=(path,), encoding=encoding, documents=documents)
    fractions = {"eval": eval_fraction, "test": test_fraction}
    return LanguageDataset(parts=parts_of(texts, fractions), **windows)


def text_folder(
    *,
    folder: str,
    encoding: str,
    documents: Documents,
    eval_fraction: Share,
    test_fraction: Share,
    **windows: Unpack[Windows],
) -> LanguageDataset:
    """The text of every .txt file in and below a folder, in the order of their paths.

    Args:
        folder: Path.
        encoding: Of the files, as Python names it.
        documents: What a document is: "files", "lines", "paragraphs"; "none": all is one text.
        eval_fraction: Share of the characters for validation, after those for training.
        test_fraction: Share of the characters for the test, the last.
        windows: See `Windows`.

    Raises:
        ConfigError: nothing would be left for training, or an unknown encoding.
        DataError: there is no such folder, or a file cannot be used.
    """
    check_encoding(encoding)
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError("there is no such folder", where=f"folder={folder}", fix="a folder of .txt files")
    files = sorted(
        each for each in path.rglob(f"*{SUFFIX}")
        if each.is_file() and not any(p.startswith(".") for p in each.relative_to(path).parts)
    )  # fmt: skip
    if not files:
        raise DataError("the folder holds no .txt file", where=f"folder={folder}", fix=f"name them *{SUFFIX}")
    text = RunningText(name=folder, paths=tuple(files), encoding=encoding, documents=documents)
    return LanguageDataset(
        parts=parts_of({"train": text}, {"eval": eval_fraction, "test": test_fraction}), **windows
    )


def parts_of(texts: dict[str, RunningText], fractions: dict[str, float]) -> dict[str, Part]:
    """The part of each split: its own text, or the end of the training text, validation before test.

    Args:
        texts: Of "train" and of splits that have one of their own.
        fractions: Share of the characters of the training text for a split that has none.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: a text is empty.
    """
    shares = {split: share for split, share in fractions.items() if share and split not in texts}
    left = 1 - sum(shares.values())
    if left <= 0:
        raise ConfigError(
            f"eval_fraction and test_fraction leave {left:g} of the text for training",
            where="eval_fraction", fix="fractions that add up to less than 1",
        )  # fmt: skip
    length = count_characters(texts["train"])
    parts = {s: Part(text=t, start=0, stop=count_characters(t)) for s, t in texts.items() if s != "train"}
    edges = [int(length * (left + sum(list(shares.values())[:i]))) for i in range(len(shares))] + [length]
    for split, start, stop in zip(["train", *shares], [0, *edges], edges, strict=False):
        parts[split] = Part(text=texts["train"], start=start, stop=stop)
    return parts


def check_encoding(encoding: str) -> None:
    """Raises `ConfigError` for an encoding that Python does not know."""
    try:
        "".encode(encoding)
    except LookupError:
        raise ConfigError(
            f"there is no encoding '{encoding}'", where="encoding", fix="utf-8-sig (UTF-8) or latin-1"
        ) from None
