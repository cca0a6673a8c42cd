"""The user's tagged files: what is read of them, and what is said of those that are not right."""

import json
from pathlib import Path

import pytest

from aiexp.errors import AiexpError, ConfigError, DataError
from tests.dataset.tagging.sentences import load, names, parts_of_speech

TWO = "A x DET\ndog x NOUN\n\nBarks x VERB\n"
WHOLE = {"eval_fraction": 0.0, "test_fraction": 0.0}


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (TWO, {}),
        ("\ufeff" + TWO.replace("\n", "\r\n"), {}),
        ("-DOCSTART- -X- O\n\n" + TWO.replace("\n\n", "\n-DOCSTART- -X- O\n\n"), {}),
        ("# id = 1\n" + TWO.replace("\n\n", "\n\n# id = 2\n"), {"comment": "# "}),
        ("1\tA\tDET\n2\tdog\tNOUN\n \n1\tBarks\tVERB", {"separator": "\t", "word_column": 1}),
        (TWO.replace(" x ", "\t  "), {"tag_column": 1}),
    ],
)
def test_columns_are_read_however_they_are_written(
    tmp_path: Path, text: str, changes: dict[str, object]
) -> None:
    dataset = load(tmp_path / "mine.conll", text, **WHOLE, **changes)
    assert [dataset.words("train", i) for i in range(2)] == [["A", "dog"], ["Barks"]]
    assert [dataset.tags("train", i) for i in range(2)] == [["DET", "NOUN"], ["VERB"]]
    assert dataset.num_examples("train") == 2
    assert dataset.num_examples("test") == 0
    assert dataset.scheme == "plain"


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = parts_of_speech(9)
    lines = [json.dumps({"tokens": words, "tags": tags}) for words, tags in rows]
    dataset = load(tmp_path / "mine.jsonl", "\n\n".join(lines), **WHOLE)
    assert [(dataset.words("train", i), dataset.tags("train", i)) for i in range(9)] == rows


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.conll", "", "there are no sentences"),
        ("a.conll", "\n\n-DOCSTART- O\n", "there are no sentences"),
        ("a.conll", "A x DET\ndog\n", r"the line has 1 column, and the tag is in column -1 \| .*a.conll:2"),
        (
            "a.jsonl",
            '{"tokens": ["A"], "tags": []}',
            r"1 tokens and 0 tags \| .*a.jsonl:1 \| fix: a tag for each",
        ),
        ("a.jsonl", '{"tokens": ["A"], "tags": [3]}', r"'tags' is no list of texts \| .*a.jsonl:1"),
        ("a.jsonl", "\n[1]", r"'tokens' is no list of texts \| .*a.jsonl:2"),
        ("a.jsonl", "{", r"not JSON.* \| .*a.jsonl:1"),
        ("a.conll", "A DET\ndog DET\n", "only one tag in the training split: 'DET'"),
        ("a.conll", "A\0 DET\n", "this is no text file"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path / name, text, **WHOLE)


def test_other_encodings_and_columns_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.conll"
    path.write_bytes("A DET\n\n\u00e9t\u00e9 NOUN\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not utf-8-sig: byte 0xe9 in line 3"):
        load(path, **WHOLE)
    assert load(path, encoding="latin-1", **WHOLE).words("train", 1) == ["\u00e9t\u00e9"]
    with pytest.raises(
        DataError, match=r"the word is in column 4 \| .*mine.conll:1 \| fix: dataset.word_column"
    ):
        load(path, encoding="latin-1", word_column=4)
    with pytest.raises(DataError, match=r"the tag in column -1 is empty \| .*mine.conll:2"):
        load(path, "A\tDET\ndog\t \n", separator="\t")
    for changes in ({"encoding": "utf-99"}, {"eval_fraction": 0.6, "test_fraction": 0.4}):
        with pytest.raises(ConfigError):
            load(path, TWO, **changes)
    with pytest.raises(AiexpError, match="there is no such file"):
        load(path, eval_file=str(tmp_path / "none"))


def test_a_word_with_a_blank_of_another_script_stays_one(tmp_path: Path) -> None:
    dataset = load(tmp_path / "mine.conll", "10\u00a0000 NUM\nx\u2028y NOUN\n", **WHOLE)
    assert dataset.words("train", 0) == ["10\u00a0000", "x\u2028y"]


def test_schemes_and_what_breaks_them_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "A I-PER\nB I-PER\nC O\n\nA O\nB I-LOC\nC B-LOC\n"
    dataset = load(tmp_path / "mine.conll", text, **WHOLE)
    assert dataset.tags("train", 0) == ["B-PER", "I-PER", "O"]
    assert dataset.tag_names == ["B-LOC", "B-PER", "I-PER", "O"]
    assert "are IOB1, read as IOB2" in capsys.readouterr().err
    path = tmp_path / "eval.conll"
    path.write_text("A O\nB I-PER\n\nX B-ORG\nY I-ORG\nC B-LOC\n")
    both = load(tmp_path / "mine.conll", text, eval_file=str(path), scheme="iob2", test_fraction=0.0)
    said = capsys.readouterr().err
    assert (
        f"the tags of 2 sentences of split train break their scheme, first {tmp_path / 'mine.conll'}:1"
        in said
    )
    assert f"the tags of 1 sentences of split eval break their scheme, first {path}:1" in said
    assert (
        "2 words of split eval have tags that do not occur in training and count as errors: 'B-ORG'" in said
    )
    assert f"first {path}:4, and 1 more" in said
    assert both.tags("eval", 1) == ["B-ORG", "I-ORG", "B-LOC"]


def test_a_sentence_is_in_one_split_wherever_it_stands_and_how_often(tmp_path: Path) -> None:
    rows = [*parts_of_speech(200), *parts_of_speech(200)]
    dataset = load(tmp_path / "mine.conll", rows)
    sizes = {split: dataset.num_examples(split) for split in ("train", "eval", "test")}
    assert sum(sizes.values()) == 400
    assert all(40 < sizes[split] < 120 for split in ("eval", "test"))
    where = {split: {" ".join(dataset.words(split, i)) for i in range(size)} for split, size in sizes.items()}
    assert not where["train"] & where["eval"]
    assert not where["train"] & where["test"]
    again = load(tmp_path / "mine.conll", [*rows[:-1], names(1)[0]])
    assert {" ".join(again.words("eval", i)) for i in range(again.num_examples("eval"))} <= where["eval"]
    assert again.fingerprint() != dataset.fingerprint()
