import csv
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.files import text_files
from aiexp.errors import DataError
from tests.dataset.conftest import SETTINGS

COLUMNS = {
    "eval_file": None,
    "test_file": None,
    "text_column": "text",
    "label_column": "label",
    "class_names": None,
    "eval_fraction": 0.1,
    "test_fraction": 0.1,
    "on_bad_sample": "error",
}
ROWS = [(f'text, with "quotes"\nline {i}', ["no", "yes"][i % 2]) for i in range(40)]


def load(path: Path, **changes: Any) -> TextDataset:
    return text_files(**{"train_file": str(path), **COLUMNS, **SETTINGS, **changes})


def write(path: Path, rows: list[tuple[Any, Any]], header: tuple[str, str] = ("text", "label")) -> Path:
    if path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows), "utf-8"
        )
    elif path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
        pq.write_table(pa.table(columns), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerows([header, *rows])
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_data(suffix: str, tmp_path: Path) -> None:
    dataset = load(write(tmp_path / f"mine.{suffix}", ROWS))
    assert dataset.class_names == ["no", "yes"]
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [32, 4, 4]
    assert dataset.fingerprint() == load(write(tmp_path / "again.csv", ROWS)).fingerprint()
    found = {
        (t, dataset.class_names[n])
        for s in ("train", "eval", "test")
        for t, n in zip(dataset.texts(s), dataset.labels(s), strict=True)
    }
    assert found == set(ROWS)


def test_own_files_for_each_split(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ROWS)
    test = write(tmp_path / "test.jsonl", [("a", "yes"), ("b", "no"), ("b", "no")])
    dataset = load(train, test_file=str(test), eval_fraction=0.0)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [40, 0, 3]
    assert dataset.labels("test").tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "class_names", "expected_names", "expected"),
    [
        ([3, 10], None, ["3", "10"], [0, 1]),
        (["3", "10"], None, ["3", "10"], [0, 1]),
        ([True, False], None, ["false", "true"], [1, 0]),
        ([1.0, 0.0], None, ["0", "1"], [1, 0]),
        ([1, 0], ["bad", "good"], ["bad", "good"], [1, 0]),
        (["good", "bad"], ["good", "bad"], ["good", "bad"], [0, 1]),
        ([" b", "a "], None, ["a", "b"], [1, 0]),
        ([10, 20], ["20", "10"], ["20", "10"], [1, 0]),
        (["007", "7"], ["7", "007"], ["7", "007"], [1, 0]),
    ],
)
def test_labels(labels, class_names, expected_names, expected, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [(f"t{i}", labels[i % 2]) for i in range(20)])
    dataset = load(path, class_names=class_names, eval_fraction=0.0, test_fraction=0.0)
    assert dataset.class_names == expected_names
    assert dataset.labels("train").tolist() == expected * 10


BAD: list[tuple[str, bytes, str]] = [
    ("mine.csv", b"", "the file is empty"),
    ("mine.csv", b"text,label\n", "no rows in the file"),
    ("mine.csv", b"txt,label\na,b\n", r"no column 'text': columns are txt, label\. Did you mean 'txt'"),
    ("mine.csv", b"text,class\na,b\n", "no column 'label'"),
    ("mine.csv", b"text,text\na,b\n", "column 'text' occurs twice"),
    ("mine.csv", b"text,label\na,x\nb,x\n", "only one class in the training split: 'x'"),
    ("mine.csv", b"text,label\na,x\nb\xff,y\n", "not UTF-8: byte 0xff at offset 16, line 3"),
    ("mine.csv", b"text,label\na,x\nb,y,z\n", r"3 cells instead of 2 \(mine.csv:3\)"),
    ("mine.csv", b'text,label\na,x\n"b,y\nc,y\n', "line 3 cannot be read"),
    ("mine.csv", b"text,label\na,x\n,y\n", r"the text is empty \(mine.csv:3\)"),
    ("mine.csv", b"text,label\na,x\nb,\n", r"the label is missing \(mine.csv:3\)"),
    ("mine.csv", b"text,label\n,x\n \t,y\n", "every text in column 'text' is empty"),
    (
        "mine.csv",
        b"text,label\na,1\nb,pos\n",
        r"labels are mixed: number 1 \(mine.csv:2\) and name 'pos' \(mine.csv:3\)",
    ),
    ("mine.csv", b"text,label\na,p\nb,q\nc,r\n", "each of the 3 rows has a label of its own"),
    ("mine.csv", b"text,label\na,x\nA!,y\nb,x\n", "1 training examples are fewer than the 2"),
    ("mine.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', r"not JSON: .*\(mine.jsonl:2\)"),
    ("mine.jsonl", b'{"text": "a", "label": 1}\n\n[1]\n', r"a list instead of an object \(mine.jsonl:3\)"),
    ("mine.jsonl", b'{"text": "a", "label": 1}\n{"label": 0}\n', r"the text is missing \(mine.jsonl:2\)"),
    ("mine.jsonl", b'{"text": NaN, "label": 1}\n', "the text is missing"),
    ("mine.jsonl", b'{"text": 7, "label": 1}\n', "the text is a int, not a string"),
    ("mine.jsonl", b'{"text": "a", "label": 0.5}\n', "label 0.5 is not a class"),
    ("mine.jsonl", b'{"text": "a", "label": [1]}\n', "the label is a list"),
    ("mine.jsonl", b"garbage\n", "no JSON object in the file: not JSON"),
    ("mine.jsonl", b"\n \n", "no JSON object in the file"),
    ("mine.parquet", b"PAR1 not really", "not a Parquet file"),
    ("mine.txt", b"a", "ending in '.txt' cannot be read"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD)
def test_bad_files_say_what_and_where(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path / name)
    assert caught.value.exit_code == 3
    assert name in caught.value.line()
    assert "\n" not in caught.value.line()


def test_missing_file_says_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", ROWS)
    with pytest.raises(DataError, match=r"review.csv does not exist. Did you mean 'reviews.csv'"):
        load(tmp_path / "review.csv")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "class_names", "message"),
    [
        ([0, 2], ["a", "b"], r"label 2 is out of range 0\.\.1 \| mine.csv:3"),
        ([0, -1], ["a", "b"], r"label -1 is out of range"),
        (
            ["pos", "neq"],
            ["neg", "pos"],
            r"label 'neq' is not a class: they are neg, pos. Did you mean 'neg'.* mine.csv:3",
        ),
        (["a", 1], ["a", "b"], r"label '1' is not a class.* mine.csv:3"),
        (["a", "b"], ["a", "b", "a"], "same name"),
    ],
)
def test_labels_outside_the_class_names(labels, class_names, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [(f"t{i}", labels[i % 2]) for i in range(20)])
    with pytest.raises(DataError) as caught:
        load(path, class_names=class_names)
    assert caught.match(message)


def test_label_that_only_the_test_file_has(tmp_path: Path) -> None:
    test = write(tmp_path / "test.csv", [("a", "no"), ("b", "maybe")])
    with pytest.raises(DataError, match="label 'maybe' is not a class") as caught:
        load(write(tmp_path / "mine.csv", ROWS), test_file=str(test))
    assert caught.value.where == "test.csv:3"


def test_bad_rows_are_left_out_and_counted_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "mine.jsonl", [*ROWS, ("", "no"), (None, "no"), ("x", None)])
    with path.open("a") as stream:
        stream.write("broken\n")
    with pytest.raises(DataError, match=r"\(4 rows like this in all\).*on_bad_sample=skip"):
        load(path)
    with caplog.at_level(logging.WARNING):
        dataset = load(path, on_bad_sample="skip")
    assert "4 rows left out, the first: the text is empty (mine.jsonl:41)" in caplog.text
    assert sum(dataset.num_examples(s) for s in ("train", "eval", "test")) == 40


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    lines = "\r\n".join(["text,label", *(f"t{i},{i % 2}" for i in range(10))])
    (tmp_path / "mine.csv").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert load(tmp_path / "mine.csv", test_fraction=0.0, eval_fraction=0.0).texts("train")[0] == "t0"


def test_tab_file_with_stray_quotes_keeps_every_row(tmp_path: Path) -> None:
    rows = [f'"stray {i}\t{i % 2}' if i < 3 else f'plain "{i}\t{i % 2}' for i in range(20)]
    (tmp_path / "mine.tsv").write_text("\n".join(["text\tlabel", *rows]))
    dataset = load(tmp_path / "mine.tsv", eval_fraction=0.0, test_fraction=0.0)
    assert dataset.num_examples("train") == 20
    assert dataset.texts("train")[0] == '"stray 0'


def test_rare_line_separators_inside_texts(tmp_path: Path) -> None:
    rows = [(f"a\u2028b\x85c\x0b{i}", i % 2) for i in range(10)]
    for suffix in ("csv", "tsv"):
        dataset = load(write(tmp_path / f"mine.{suffix}", rows), eval_fraction=0.0, test_fraction=0.0)
        assert list(dataset.texts("train")) == [text for text, _ in rows]
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "\n".join(json.dumps({"text": t, "label": n}, ensure_ascii=False) for t, n in rows), "utf-8"
    )
    assert list(load(path, eval_fraction=0.0, test_fraction=0.0).texts("train")) == [text for text, _ in rows]


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'aiexp\[parquet\]'"):
        load(tmp_path / "mine.parquet")


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_a_csv_with_another_separator(separator: str, tmp_path: Path) -> None:
    rows = [(f"it is, as said; number {i}", ["bad", "good"][i % 2]) for i in range(40)]
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([("text", "label"), *rows])
    dataset = load(tmp_path / "x.csv")
    assert dataset.class_names == ["bad", "good"]
    assert sum(dataset.num_examples(split) for split in ("train", "eval", "test")) == 40


@pytest.mark.parametrize("header", ["text:label", "id^label^text", "text : label"])
def test_a_separator_that_is_none_of_ours_is_named(header: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\nwarm:good\n")
    with pytest.raises(DataError, match=r"there is no column 'text'.* '[:^]' seems to separate the columns"):
        load(tmp_path / "x.csv")
    (tmp_path / "y.csv").write_text("text: of a film,label\nwarm,good\n")
    with pytest.raises(DataError, match="text_column=<one of the columns>"):
        load(tmp_path / "y.csv")


def test_labels_that_differ_only_in_case_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"text number {i}", ["pos", "POS", "neg"][i % 3]) for i in range(60)]
    assert load(write(tmp_path / "x.csv", rows)).class_names == ["POS", "neg", "pos"]
    assert caplog.messages == ["x.csv: classes that differ only in case: 'POS' and 'pos'"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_another_column_belongs_to_the_examples_of_each_split(suffix: str, tmp_path: Path) -> None:
    """Rows that are left out, repeated or given in a file of their own do not shift it."""
    rows = [(f"text {i}", ["no", "yes"][i % 2], f"of text {i}") for i in range(40)]
    broken = [*rows[:3], ("", "no", "of nothing"), rows[0], *rows[3:]]
    given = [(f"given {i}", ["no", "yes"][i % 2], f"of given {i}") for i in range(6)]
    header: Any = ("text", "label", "origin")
    files = {"train_file": broken, "test_file": [given[0], (None, "no", "of nothing"), *given[1:]]}
    if suffix == "parquet":
        files = {key: [("" if t is None else t, n, o) for t, n, o in table] for key, table in files.items()}
    paths = {
        key: str(write(tmp_path / f"{key}.{suffix}", table, header))  # pyright: ignore[reportArgumentType]
        for key, table in files.items()
    }
    dataset = text_files(**{**COLUMNS, **SETTINGS, **paths, "on_bad_sample": "skip", "limit": 20})
    for split, count in (("train", 20), ("eval", 4), ("test", 6)):
        assert dataset.column(split, "origin") == [f"of {text}" for text in dataset.texts(split)]
        assert len(dataset.texts(split)) == count
    assert dataset.column("test", "label") == [dataset.class_names[n] for n in dataset.labels("test")]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    dataset = load(write(tmp_path / "mine.csv", ROWS))
    with pytest.raises(DataError, match=r"no column 'lable'.*Did you mean 'label'"):
        dataset.column("test", "lable")
