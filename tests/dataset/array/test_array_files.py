"""Arrays and tables of the user's own, in every form they come in."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.array.dataset import ArrayDataset
from aiexp.dataset.array.files import array_files
from aiexp.errors import ConfigError, DataError
from tests.dataset.built_in import values_of


def make(path: Path, **changes: Any) -> ArrayDataset:
    return array_files(**(values_of("arrays") | {"train_file": str(path), "batch_size": 4} | changes))


def numbers(num: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.normal(size=(num, 3)).round(3), np.array(["cat", "dog"])[np.arange(num) % 2]


def table(folder: Path, name: str = "t.csv") -> Path:
    x, y = numbers()
    rows = [f"{a},{b},{c},{kind}" for (a, b, c), kind in zip(x, y, strict=True)]
    path = folder / name
    path.write_text("\n".join(["width,height,depth,kind", *rows]))
    return path


def test_all_forms_of_the_same_rows_are_the_same_data_set(tmp_path: Path) -> None:
    x, y = numbers()
    np.savez(tmp_path / "a.npz", x=x, y=y)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder/x.npy", x)
    np.save(tmp_path / "folder/y.npy", y)
    made = [make(tmp_path / "a.npz"), make(tmp_path / "folder"), make(table(tmp_path), target="kind")]
    assert {one.fingerprint() for one in made} == {made[0].fingerprint()}
    assert made[0].class_names == ["cat", "dog"]
    assert made[2].feature_names == ["width", "height", "depth"]
    assert {split: made[0].num_examples(split) for split in ("train", "eval", "test")} == {
        "train": 28, "eval": 4, "test": 8
    }  # fmt: skip
    batch = next(made[0].train_batches(0))
    assert batch["labels"].tolist() == [int(y == "dog") for y in y_of(batch, x, y)]


def y_of(batch: dict[str, torch.Tensor], x: np.ndarray, y: np.ndarray) -> list[str]:
    """The target of each row of a batch, found by its numbers."""
    return [y[np.abs(x - row.numpy()).sum(1).argmin()] for row in batch["x"]]


def test_files_of_their_own_for_evaluations_and_chosen_columns(tmp_path: Path) -> None:
    path = table(tmp_path)
    (tmp_path / "e.csv").write_text("kind,depth,width\ndog,1,2\ncat,3,4\n")
    dataset = make(path, target="kind", columns=["width", "depth"], eval_file=str(tmp_path / "e.csv"))
    assert dataset.arrays("eval")["x"].tolist() == [[2, 1], [4, 3]]
    assert dataset.arrays("eval")["labels"].tolist() == [1, 0]
    assert dataset.num_examples("train") == 32  # the test is cut off, validation is not


def test_numbers_to_find(tmp_path: Path) -> None:
    x, _ = numbers()
    np.savez(tmp_path / "a.npz", x=x, y=x[:, :1] * 2)
    dataset = make(tmp_path / "a.npz", target_is="numbers")
    assert (dataset.num_targets, dataset.class_names) == (1, [])
    batch = next(dataset.train_batches(0))
    assert torch.allclose(batch["y"], batch["x"][:, 0] * 2)


def test_labels_as_floats_and_as_digits_are_whole_numbers(tmp_path: Path) -> None:
    x, _ = numbers()
    for y in (np.arange(40) % 3 + 4.0, np.array([str(i % 3 + 4) for i in range(40)])):
        np.savez(tmp_path / "a.npz", x=x, y=y)
        assert make(tmp_path / "a.npz").class_names == ["4", "5", "6"]


def compressed_and_damaged() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(2000.0).reshape(1000, 2), y=np.arange(1000) % 2)
    content = bytearray(file.getvalue())
    content[200:400] = b"\xff" * 200
    return bytes(content)


@pytest.mark.parametrize(
    ("written", "changes", "message"),
    [
        ({"x": np.zeros((9, 2))}, {}, "there is no array 'y': there are x"),
        ({"x": np.zeros((9, 2)), "y": np.arange(8)}, {}, "inputs and targets are (9, 2) and (8,)"),
        ({"x": np.zeros((9, 2)), "y": np.arange(9)}, {}, "each of the 9 rows has a label of its own"),
        ({"x": np.zeros((9, 2)), "y": np.arange(9) / 2}, {}, "label 0.5 is not a class"),
        ({"x": np.zeros((9, 2)), "y": np.zeros((9, 2))}, {}, "holds float64 of shape (9, 2), not a class"),
        ({"x": np.zeros((9, 2)), "y": np.array(["a", "", "b"] * 3)}, {}, "the label is missing"),
        ({"x": np.zeros((2, 2)), "y": np.array([b"caf\xe9", b"tea"])}, {}, "is not UTF-8"),
        ({"x": np.zeros((9, 2)), "y": np.array([{}] * 9)}, {}, "array 'y' cannot be read"),
        ({"x": np.zeros((9, 2)), "z": np.arange(9)}, {"target": "zz"}, "there is no array 'zz'"),
        (compressed_and_damaged(), {}, "array 'x' cannot be read"),
        (b"PK nonsense", {}, "this is no .npz file"),
        (None, {}, "t.npz does not exist."),
    ],
)  # fmt: skip
def test_bad_arrays_are_named(tmp_path: Path, written: Any, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "t.npz"
    if isinstance(written, bytes):
        path.write_bytes(written)
    elif written is not None:
        np.savez(path, **written)
    with pytest.raises(DataError) as caught:
        make(path, **changes)
    assert message in caught.value.what
    assert caught.value.where.startswith("train_file=")


@pytest.mark.parametrize(
    ("labels", "message", "row"),
    [
        (np.array([0.0, 1.7, 0.9]), "label 1.7 is not a class", "row 1"),
        (np.array([0, 1, 2]), "label '2' is not a class: they are 0, 1", "row 2"),
        (np.array([np.nan, 1, 0]), "the label is missing", "row 0"),
        (np.array(["0", "1", "yes"]), "label 'yes' is not a class", "row 2"),
        (np.zeros((3, 2)), "not a class for each row", ""),
    ],
)
def test_labels_of_every_split_are_classes_of_the_training(
    tmp_path: Path, labels: np.ndarray, message: str, row: str
) -> None:
    x, _ = numbers()
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    np.savez(tmp_path / "e.npz", x=x[:3], y=labels)
    with pytest.raises(DataError) as caught:
        make(tmp_path / "a.npz", eval_file=str(tmp_path / "e.npz"))
    assert message in caught.value.what
    assert caught.value.where.startswith("eval_file=")
    assert caught.value.where.endswith(row)
    assert "class_names" not in (caught.value.fix or "")  # this data set has none


def test_bad_tables_name_the_line(tmp_path: Path) -> None:
    path = table(tmp_path)
    with pytest.raises(DataError, match="there is no column 'y'"):
        make(path)
    path.write_text("width,kind\n1,cat\n,dog\n")
    with pytest.raises(DataError, match="column 'width' is empty, not a number") as caught:
        make(path, target="kind")
    assert caught.value.where.endswith("line 3")
    path.write_text("width,kind\n1,cat\n2,dog\n3,cat\n4,dog\n")
    (tmp_path / "e.csv").write_text("width,kind\n1,dog\n1,cow\n")
    with pytest.raises(DataError, match="label 'cow' is not a class: they are cat, dog") as caught:
        make(path, target="kind", eval_file=str(tmp_path / "e.csv"))
    assert caught.value.where.endswith("e.csv: line 3")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "width,kind\n1,cat\n2, \n3,cat\n4,dog\n"),
        (
            "t.jsonl",
            '{"width": 1, "kind": "cat"}\n\n{"width": 2, "kind": null}\n{"width": 3, "kind": "dog"}\n',
        ),
    ],
)
def test_a_missing_label_names_the_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="the label is missing") as caught:
        make(tmp_path / name, target="kind")
    assert caught.value.where.endswith("line 3")


def test_spaces_around_a_label_are_no_other_class(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("width,kind\n" + "1,u\n2,u \n3,v\n4, v\n" * 3)
    assert make(path, target="kind").class_names == ["u", "v"]


def test_a_target_is_not_learned_from(tmp_path: Path) -> None:
    path = table(tmp_path)
    with pytest.raises(ConfigError, match="column 'depth' is to be found, and would be learned from"):
        make(path, target="depth", target_is="numbers", columns=["width", "depth"])
    with pytest.raises(ConfigError, match="no column to learn from"):
        make(path, target="kind", columns=[])
