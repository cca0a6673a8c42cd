import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.hub import hub
from aiexp.errors import DataError
from tests.dataset.conftest import SETTINGS

COLUMNS: dict[str, Any] = {
    "config": None,
    "revision": None,
    "train_split": "train",
    "eval_split": None,
    "test_split": "test",
    "text_column": "text",
    "label_column": "label",
    "class_names": None,
    "eval_fraction": 0.1,
    "test_fraction": 0.1,
    "streaming": False,
    "block_size": 8192,
    "eval_limit": None,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("datasets.config")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("AIEXP_OFFLINE", "1")


def load(name: Path | str, **changes: Any) -> TextDataset:
    return hub(**{"name": str(name), **COLUMNS, **SETTINGS, **changes})


def repository(folder: Path, **splits: list[tuple[Any, Any]]) -> Path:
    """A folder laid out like a repository of the hub."""
    folder.mkdir()
    for split, rows in splits.items():
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return folder


ROWS = [(f"text {i}", ["b", "a"][i % 2]) for i in range(40)]


def test_local_repository(tmp_path: Path) -> None:
    place = repository(tmp_path / "mine", train=ROWS, test=[("x", "a"), ("y", "b")])
    dataset = load(place)
    assert dataset.class_names == ["a", "b"]
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [36, 4, 2]
    assert dataset.labels("test").tolist() == [0, 1]
    whole = load(place, test_split=None, eval_fraction=0.0)
    assert [whole.num_examples(s) for s in ("train", "eval", "test")] == [36, 0, 4]


def test_names_of_the_data_set_itself(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    table = datasets.Dataset.from_dict(
        {"text": [t for t, _ in ROWS], "label": [i % 2 for i in range(40)]}, features
    )
    (tmp_path / "mine" / "data").mkdir(parents=True)
    table.to_parquet(str(tmp_path / "mine" / "data" / "train-00000-of-00001.parquet"))
    dataset = load(tmp_path / "mine", test_split=None)
    assert dataset.class_names == ["no", "yes"]
    assert dataset.class_counts().tolist() == [16, 16]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (ROWS, {"train_split": "trian"}, "no split 'trian': splits are train, test. Did you mean 'train'"),
        (ROWS, {"eval_split": "validation"}, r"no split 'validation'.*fix: eval_split="),
        (ROWS, {"text_column": "sentence"}, r"no column 'sentence': columns are text, label"),
        ([*ROWS, (None, "a")], {}, r"the text is None, not a string .*\[train\] row 40"),
        ([*ROWS, ("x", None)], {}, r"the label is missing .*\[train\] row 40"),
        (ROWS, {"class_names": ["a", "c"]}, "label 'b' is not a class"),
    ],
)
def test_bad_data(rows, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    place = repository(tmp_path / "mine", train=rows, test=[("x", "a")])
    with pytest.raises(DataError) as caught:
        load(place, **changes)
    assert caught.match(message)
    assert "\n" not in caught.value.line()


def test_unreachable_and_not_cached(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="AIEXP_OFFLINE forbids the network") as caught:
        load("some/data")
    assert caught.value.exit_code == 3


def test_code_of_a_repository_is_not_run(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "mine.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    with pytest.raises(DataError, match="cannot be loaded"):
        load(place)
    assert not (tmp_path / "canary").exists()


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'aiexp\[hub\]'"):
        load("some/data")


def test_another_column_belongs_to_the_examples_of_each_split(tmp_path: Path) -> None:
    place = repository(tmp_path / "mine", train=ROWS, test=[("x", "a"), ("y", "b")])
    dataset = load(place)
    for split in ("train", "eval", "test"):
        assert dataset.column(split, "text") == list(dataset.texts(split))
    with pytest.raises(DataError, match="no column 'age'"):
        dataset.column("test", "age")
