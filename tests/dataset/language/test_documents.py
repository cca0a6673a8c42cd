"""Documents in running text: where they end, what stands between them, and to which split each belongs."""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from aiexp.dataset.language import running_text, tokens
from aiexp.dataset.language.files import text_folder
from aiexp.dataset.language.running_text import RunningText
from aiexp.dataset.language.vocabulary import END, end_token
from aiexp.errors import DataError
from tests.dataset.language.text import SETTINGS, load, tokenized, verses


@pytest.fixture(autouse=True)
def _small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(tokens, "_PIECE", 60)
    monkeypatch.setattr(tokens, "_CHARACTERS_AT_ONCE", 180)
    monkeypatch.setattr(running_text, "PIECE", 37)


def documents_in(dataset: Any, split: str, tokenizer: Tokenizer) -> list[str]:
    """What an evaluation goes through, cut at the ends."""
    end = end_token(tokenizer)
    batches = list(dataset.eval_batches(split))
    row = [batches[0]["input_ids"][0, 0].item()]
    row += [token for batch in batches for window in batch["targets"].tolist() for token in window]
    assert row[0] == row[-1] == end
    edges = [place for place, token in enumerate(row) if token == end]
    return [tokenizer.decode(row[a + 1 : b]) for a, b in pairwise(edges)]


@pytest.mark.parametrize("vocabulary", ["characters", "bpe"])
def test_lines(tmp_path: Path, vocabulary: str) -> None:
    whole = verses(150)
    dataset = tokenized(tmp_path / "mine.txt", whole, documents="lines", vocabulary=vocabulary)
    tokenizer = dataset.make_tokenizer()
    found = {split: documents_in(dataset, split, tokenizer) for split in ("train", "eval", "test")}
    assert [*found["train"], *found["eval"], *found["test"]] == whole.splitlines(), "each in one split, whole"
    assert len(whole) * 0.75 < sum(map(len, found["train"])) < len(whole) * 0.85
    assert min(len(found["eval"]), len(found["test"])) > 5


def test_paragraphs_and_white_space(tmp_path: Path) -> None:
    whole = "\n\n" + "\n  \t\n\n".join(f"first {i}\n  second" for i in range(60)) + "\n\n \n"
    dataset = tokenized(tmp_path / "mine.txt", whole, documents="paragraphs")
    found = [
        document
        for split in ("train", "eval", "test")
        for document in documents_in(dataset, split, dataset.make_tokenizer())
    ]
    assert found == [f"first {i}\n  second" for i in range(60)]


def test_files(tmp_path: Path) -> None:
    texts = [
        verses(int(lines), seed) for seed, lines in enumerate(np.random.default_rng(0).integers(1, 20, 40))
    ]
    for number, text in enumerate(texts):
        (tmp_path / f"{number:02d}.txt").write_text(text, "utf-8")
    (tmp_path / "03.txt").write_text("", "utf-8")
    own = {"train_file", "eval_file", "test_file"}
    settings: dict[str, Any] = {name: value for name, value in SETTINGS.items() if name not in own} | {
        "documents": "files"
    }
    dataset = text_folder(folder=str(tmp_path), **settings)
    dataset.tokenize(dataset.make_tokenizer())
    found = [
        document
        for split in ("train", "eval", "test")
        for document in documents_in(dataset, split, dataset.make_tokenizer())
    ]
    assert found == [text for number, text in enumerate(texts) if number != 3]


def test_windows_are_full_and_a_prompt_is_the_beginning_of_a_document(tmp_path: Path) -> None:
    dataset = tokenized(tmp_path / "mine.txt", verses(80), documents="lines")
    tokenizer = dataset.make_tokenizer()
    end = end_token(tokenizer)
    assert tokenizer.id_to_token(end) == END
    assert tokenizer.encode("the king").ids[0] == end
    assert tokenizer.decode(tokenizer.encode("the king").ids) == "the king"
    batches = list(islice(dataset.train_batches(0), 20))
    assert all(batch["input_ids"].shape == (4, 8) for batch in batches), "no padding"
    assert any((batch["input_ids"] == end).any() for batch in batches)
    assert "\x1e" not in tokenizer.get_vocab()


def test_one_text_has_no_boundary(tmp_path: Path) -> None:
    dataset = tokenized(tmp_path / "mine.txt", verses(80))
    tokenizer = dataset.make_tokenizer()
    assert not dataset.has_documents
    assert END not in tokenizer.get_vocab()


def test_a_vocabulary_without_an_end(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "the": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    dataset = load(tmp_path / "mine.txt", verses(80), documents="lines")
    with pytest.raises(DataError, match=r"no token that ends a document.*documents=none"):
        dataset.tokenize(tokenizer)
    tokenizer.add_special_tokens(["</s>"])
    assert end_token(tokenizer) == 2


def test_a_split_without_a_document(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the eval part of the text has 0 tokens"):
        tokenized(tmp_path / "mine.txt", "a king " * 40, documents="lines", test_fraction=0.0)


def test_documents_longer_than_a_window_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\n".join(["the king", *["the king sings"] * 3, *["a hill"] * 30])
    tokenized(tmp_path / "mine.txt", text, documents="lines")
    assert "note: 4 of 27 documents of the train part have more than 8 tokens" in capsys.readouterr().err
    tokenized(tmp_path / "mine.txt", text, documents="lines", context=10)
    assert "note: 3 of 27 documents of the train part have more than 10 tokens" in capsys.readouterr().err


def test_other_documents_are_other_data(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(verses(9), "utf-8")
    of = [
        RunningText(name="mine", paths=(tmp_path / "mine.txt",), encoding="utf-8", documents=kind).key()
        for kind in ("none", "lines", "paragraphs", "files")
    ]
    assert len({str(key) for key in of}) == 4
