"""The fetched data sets: on a generated archive, and (marker network) on the real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.newsgroups import newsgroups
from aiexp.dataset.text.rated_sentences import rated_sentences, read_ratings
from aiexp.dataset.text.split import normalised
from aiexp.errors import DataError
from aiexp.source.catalog import entries as catalog
from tests.dataset.built_in import header_of, values_of
from tests.dataset.conftest import SETTINGS
from tests.source.toy import archive, entry, files, tarred, zipped

FRACTIONS = {"eval_fraction": 0.1, "test_fraction": 0.1}


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces a catalog entry by a generated archive that lies in the user's folder."""
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")

    def add(name: str, data: bytes, content: dict[str, bytes], **changes: Any) -> None:
        source = archive(data, **{"filename": "x.tar.gz", "folder": "", **changes})
        monkeypatch.setitem(catalog.ENTRIES, name, entry(source, name=name, files=files(content)))
        (tmp_path / "archives").mkdir()
        (tmp_path / "archives" / "x.tar.gz").write_bytes(data)

    return add


def test_rated_sentences_from_an_archive(provide: Callable[..., None]) -> None:
    lines = [f"{i}\t{rating}\tSentence {i} \u2028 said\x85" for i, rating in enumerate([2.5, -1.5] * 50)]
    lines += [
        "a\t0.5\tneutral",
        "b\t-0.5\tneutral too",
        "c\t0.51\tbarely",
        "d\t3\tsentence 0 said",
        "e\t-2\tBarely.",
    ]
    content = {"tweets_GroundTruth.txt": "\r\n".join(lines).encode()}
    inner = tarred({f"hutto/{n}": d for n, d in content.items()})
    provide(
        "hutto_icwsm_2014", tarred({"x/in.tar.gz": inner}), content, inside=("x/in.tar.gz",), folder="hutto"
    )
    dataset = rated_sentences(collection="tweets", neutral_below=0.5, **FRACTIONS, **SETTINGS)
    # "barely" contradicts itself, sentence 0 is repeated.
    counts = {s: np.bincount(dataset.labels(s)).tolist() for s in ("train", "eval", "test")}
    assert counts == {"train": [40, 40], "eval": [5, 5], "test": [5, 5]}
    assert dataset.class_names == ["negative", "positive"]
    row = next(i for i, text in enumerate(dataset.texts("train")) if text.startswith("Sentence 1"))
    number = int(dataset.texts("train")[row].split()[1])
    assert dataset.labels("train")[row] == (number + 1) % 2
    assert not any("\r" in text for text in dataset.texts("train"))


def test_rating_line_of_another_form(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1\t2.0\tgood\n2\thigh\tbad\n")
    with pytest.raises(DataError, match="not `id, rating, text`") as caught:
        read_ratings(tmp_path / "x.txt", 0.5)
    assert caught.value.where == f"{tmp_path / 'x.txt'}:2"


def test_newsgroups_from_an_archive(provide: Callable[..., None]) -> None:
    def table(tag: str, count: int, extra: list[str]) -> bytes:
        rows = [f"{['b.b', 'a.a'][i % 2]}\t{tag} post {i}" for i in range(count)]
        return "\n".join(["Category\tText", "d\tstring", "class\t", "", "\tempty", *rows, *extra]).encode()

    content = {
        "20newsgroups-train.tab": table("train", 40, ["a.a\tTest post 0", "b.b\ttrain post 0"]),
        "20newsgroups-test.tab": table("test", 10, ["a.a\ttest post 1"]),
    }
    provide("newsgroups", zipped({f"d/{n}": d for n, d in content.items()}), content, folder="d")
    dataset = newsgroups(eval_fraction=0.1, **SETTINGS)
    assert dataset.class_names == ["a.a", "b.b"]
    counts = {s: np.bincount(dataset.labels(s)).tolist() for s in ("train", "eval", "test")}
    assert counts == {"train": [18, 18], "eval": [2, 2], "test": [6, 5]}


# Counts by class and fingerprint of the data as published; they change only with a reason in the changelog.
PINNED = {
    "movie_reviews": (
        rated_sentences,
        {"train": [4048, 3985], "eval": [506, 498], "test": [506, 498]},
        "06de72ebce84f7f44ded7ccf8d88e2533b77f473ef63e9e79ccf4d8dd610bed4",
    ),
    "tweets": (
        rated_sentences,
        {"train": [788, 1778], "eval": [99, 222], "test": [99, 222]},
        "0b85a33caa14570a71bf4c640160a579993eaa6a80370ad34680840b0d49938a",
    ),
    "product_reviews": (
        rated_sentences,
        {"train": [972, 1371], "eval": [121, 171], "test": [121, 171]},
        "7e316d5b16a8dd0f3c76c16dc1f23f63e98b871a5a9c0970cc2d64dd1c247aae",
    ),
    "newsgroups": (
        newsgroups,
        {"train": 10136, "eval": 1126, "test": 7528},
        "63b2e81210c51ee86563d78f5a6a6033a9ff975f83e477dfcd98e7565f29000d",
    ),
}


@pytest.fixture(scope="module")
def real() -> Callable[[str], TextDataset]:
    made: dict[str, TextDataset] = {}

    def make(name: str) -> TextDataset:
        if name not in made:
            try:
                made[name] = PINNED[name][0](**values_of(name))
            except DataError as error:
                pytest.skip(f"no source reachable: {error.what}")
        return made[name]

    return make


@pytest.mark.network
@pytest.mark.parametrize(
    "name",
    # 38 MB and 8 s are too much for every test run.
    [pytest.param(n, marks=pytest.mark.slow) if n == "newsgroups" else n for n in PINNED],
)
def test_real_data_are_as_pinned(name: str, real: Callable[[str], TextDataset]) -> None:
    _, counts, fingerprint = PINNED[name]
    dataset = real(name)
    found = {s: np.bincount(dataset.labels(s)).tolist() for s in ("train", "eval", "test")}
    if name == "newsgroups":
        found = {s: sum(c) for s, c in found.items()}
        assert dataset.num_classes == 20
    assert found == counts
    assert dataset.fingerprint() == fingerprint
    hashes = {s: {normalised(t) for t in dataset.texts(s)} for s in ("train", "eval", "test")}
    assert not hashes["train"] & hashes["test"]
    assert not hashes["train"] & hashes["eval"]
    assert not hashes["eval"] & hashes["test"]
    assert all(f"{split} {dataset.num_examples(split)}" in header_of(name) for split in hashes)
