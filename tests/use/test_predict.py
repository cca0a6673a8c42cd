"""`aiexp predict`: answers of a trained task to words, files, folders, tables and lines."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.config.objects.build import build
from aiexp.experiment import build_task
from aiexp.rundir.metrics import read_metrics
from aiexp.runs.loaded import load_run
from aiexp.use.predicting import predictions
from aiexp.use.reading import named

Printed = pytest.CaptureFixture[str]


def answers(printed: Printed, *words: object) -> list[dict[str, Any]]:
    assert cli.main(["predict", *map(str, words), "--format", "jsonl"]) == 0
    return [json.loads(line) for line in printed.readouterr().out.splitlines()]


def refused(printed: Printed, *words: object) -> tuple[int, str]:
    code = cli.main(["predict", *map(str, words)])
    (line,) = [line for line in printed.readouterr().err.splitlines() if "error[" in line]
    return code, line


@pytest.mark.parametrize("kind", ["texts", "pictures"])
def test_predictions_on_the_test_split_are_those_that_the_run_was_judged_by(
    kind: str, request: pytest.FixtureRequest
) -> None:
    run = load_run(request.getfixturevalue(kind))
    dataset = build(run.config["dataset"])
    build_task(run.config, dataset)  # tokenizes
    if kind == "texts":
        values = dataset.texts("test")
    else:
        values = [Path(run.config["dataset"]["train_folder"], name) for name in dataset.names("test")]
    labels = [int(label) for batch in dataset.eval_batches("test") for label in batch["labels"]]
    order = [int(row) for batch in dataset.eval_batches("test") for row in batch["index"]]
    truth = {row: run.task.class_names[label] for row, label in zip(order, labels, strict=True)}
    made = list(predictions(run, run.task.inputs(), named(values), batch_size=7))
    hits = [answer.result.values["label"] == truth[row] for row, answer in enumerate(made)]
    recorded = [m["test/accuracy"] for m in read_metrics(run.directory.path / "metrics.jsonl") if
                "test/accuracy" in m]  # fmt: skip
    assert sum(hits) / len(hits) == pytest.approx(recorded[-1], abs=1e-9)


def test_an_answer_does_not_depend_on_its_batch(texts: Path, capsys: Printed) -> None:
    table = texts.parents[2] / "reviews.csv"
    one, many = (answers(capsys, texts, table, "--column", "text", "--batch-size", size) for size in (1, 50))
    assert len(one) == 120
    for a, b in zip(one, many, strict=True):
        assert a["label"] == b["label"]
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-5)


def test_neither_the_data_nor_the_pretrained_model_need_be_there(
    texts: Path, pictures: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(texts, tmp_path / "texts")
    moved = (texts.parents[2] / "reviews.csv").rename(tmp_path / "elsewhere.csv")
    try:
        (answer,) = answers(capsys, copy, "a great film")
    finally:
        moved.rename(texts.parents[2] / "reviews.csv")
    assert set(answer["probabilities"]) == {"0", "1"}
    picture = next((pictures.parents[2] / "pictures").rglob("*.png"))
    shutil.copy(picture, tmp_path / "one.png")
    copy = shutil.copytree(pictures, tmp_path / "pictures_run")
    (answer,) = answers(capsys, copy, "one.png")
    assert answer["input"] == "one.png"
    assert answer["label"] in ("across", "down", "slanted")


def test_folders_lines_stdin_and_tables(
    texts: Path, pictures: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("a great film\n\n  \nanother\n")
    assert [a["input"] for a in answers(capsys, texts, lines)] == [f"{lines}:1", f"{lines}:4"]
    with lines.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert [a["input"] for a in answers(capsys, texts, "-")] == ["stdin:1", "stdin:4"]
    (tmp_path / "rows.jsonl").write_text('{"body": "fine", "n": 1}\n{"body": "weak", "n": 2}\n')
    assert len(answers(capsys, texts, tmp_path / "rows.jsonl", "--column", "body")) == 2
    assert cli.main(["predict", str(texts), str(tmp_path / "rows.jsonl")]) == 3
    assert "which column? The table has body, n" in capsys.readouterr().err
    assert len(answers(capsys, pictures, pictures.parents[2] / "pictures" / "down")) > 5


def test_answers_as_text_and_as_a_table_in_a_file(texts: Path, tmp_path: Path, capsys: Printed) -> None:
    assert cli.main(["predict", str(texts), "a great film", "dull\x1b[2J"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].endswith("\ta great film")
    assert "\x1b" not in shown
    target = tmp_path / "answers.csv"
    assert cli.main(["predict", str(texts), "a great film", "dull", "--out", str(target)]) == 0
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == ["a great film", "dull"]
    assert {"label", "probability", "probabilities.0", "probabilities.1"} <= rows[0].keys()


def test_memory_holds_a_window_of_a_long_input(texts: Path) -> None:
    run, most = load_run(texts), 0
    read: list[str] = []

    def values() -> Iterator[str]:
        for _ in range(1000):
            read.append("fine")
            yield "fine"

    for number, _ in enumerate(predictions(run, run.task.inputs(), named(values()), batch_size=4)):
        most = max(most, len(read) - number)
    assert len(read) == 1000
    assert most <= 4 * 32


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["TEXTS", "rows.csv"], 3, "which column"),
        (["TEXTS", "rows.csv", "--column", "c"], 3, "there is no column 'c'"),
        (["TEXTS", "--count", "3", "a"], 2, "no --count"),
        (["TEXTS"], 2, "a text is wanted"),
        (["TEXTS"], 2, 'fix: aiexp predict {texts} "A TEXT"'),
        (["TEXTS", ""], 3, "empty"),
        (["TEXTS", "latin.txt"], 3, "not UTF-8"),
        (["TEXTS", "noise.bin"], 3, "no text file"),
        (["TEXTS", "."], 3, "a folder"),
        (["TEXTS", "a", "--batch-size", "0"], 2, "--batch-size"),
        (["TEXTS", "a", "--step", "77"], 4, "no checkpoint of step 77"),
        (["PICTURES", "a text"], 3, "no such file"),
        (["PICTURES", "missing.png"], 3, "{pictures} (task=mnist_cnn) takes a picture, such as: PICTURE"),
        (["TEXTS", "missing.png"], 3, 'fix: {texts} (task=bert_finetune) takes a text, such as: "A TEXT"'),
        (["TEXTS", "Reviews.CSV"], 3, "no such file or folder | Reviews.CSV"),
        (["PICTURES", "torn.png"], 3, "torn.png"),
        (["PICTURES", "empty"], 3, "nothing that is a picture"),
        (["nowhere", "a"], 4, "nowhere"),
        (["empty", "a"], 4, "empty"),
    ],
)
def test_bad_input_gets_one_line(
    texts: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed,
    words: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "latin.txt").write_bytes("schön\n".encode("latin-1"))
    (tmp_path / "noise.bin").write_bytes(b"\0" * 100)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    (tmp_path / "empty").mkdir()
    named = {"TEXTS": str(texts), "PICTURES": str(pictures)}
    got, line = refused(capsys, *(named.get(word, word) for word in words))
    said = says.format(texts=texts, pictures=pictures)
    assert (got, said in line) == (code, True), line


def test_a_text_may_end_as_a_file_does(texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    (one,) = answers(capsys, texts, "I liked missing.png")
    assert one["input"] == "I liked missing.png"
    (one,) = answers(capsys, texts, "example.com")
    assert one["input"] == "example.com"
    monkeypatch.setattr("sys.stdin", io.StringIO("missing.png\n"))
    assert len(answers(capsys, texts, "-")) == 1


def test_inputs_that_cannot_be_read_are_named_and_counted(
    pictures: Path, tmp_path: Path, capsys: Printed
) -> None:
    shutil.copytree(pictures.parents[2] / "pictures" / "down", tmp_path / "photos")
    (tmp_path / "photos" / "torn.png").write_bytes(b"nothing")
    whole = len(list((tmp_path / "photos").iterdir())) - 1
    assert cli.main(["predict", str(pictures), str(tmp_path / "photos"), "--skip-bad"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == whole
    assert "torn.png" in printed.err
    assert f"1 of {whole + 1} inputs" in printed.err
    code, line = refused(capsys, pictures, tmp_path / "photos" / "torn.png", "--skip-bad")
    assert code == 3
    assert "no input that could be read" in line


def test_a_full_disk_ends_it_in_one_line(texts: Path, capsys: Printed) -> None:
    code, line = refused(capsys, texts, "fine", "--out", "/dev/full")
    assert code == 8
    assert "no space left" in line
