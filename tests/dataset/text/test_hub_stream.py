"""A folder laid out like a repository of the hub, in several files, read as a stream."""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from aiexp.dataset.text.hub import HubStream, hub
from aiexp.dataset.text.stream import StreamedTexts
from aiexp.errors import DataError
from tests.dataset.conftest import SETTINGS
from tests.dataset.text.test_hub import COLUMNS, repository
from tests.endings import check_killed_and_resumed

STREAM = {"streaming": True, "block_size": 16, "eval_limit": 10, "eval_split": "test"}
FILES, ROWS = 4, 700  # more rows of a file than are read at once


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("datasets.config")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("AIEXP_OFFLINE", "1")


def rows_of(file: int, names: tuple[Any, Any] = ("no", "yes")) -> list[dict[str, Any]]:
    """Texts "<file> <row>"."""
    return [{"text": f"{file} {row % 200}", "label": names[row % 2]} for row in range(ROWS)]


@pytest.fixture(params=["parquet", "jsonl"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write(tmp_path / "mine", request.param)


def write(folder: Path, kind: str, **last: Any) -> Path:
    """Files of training rows and one of test rows; `last` is the last row of the last training file."""
    import datasets

    (folder / "data").mkdir(parents=True)
    parts = {f"train-{file:05}-of-{FILES:05}": rows_of(file) for file in range(FILES)}
    parts["test-00000-of-00001"] = rows_of(9)[:30]
    if last:
        parts[f"train-{FILES - 1:05}-of-{FILES:05}"][-1] |= last
    for name, rows in parts.items():
        path = folder / "data" / f"{name}.{kind}"
        if kind == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
            continue
        names = datasets.ClassLabel(names=["no", "yes"])
        features = datasets.Features({"text": datasets.Value("string"), "label": names})
        datasets.Dataset.from_list(rows, features=features).to_parquet(str(path))
    return folder


@pytest.fixture
def load(tokenizer: Tokenizer) -> Callable[..., StreamedTexts]:
    def loaded(name: Path, **changes: Any) -> StreamedTexts:
        names = {"class_names": ["no", "yes"]}
        dataset = hub(**{"name": str(name), **COLUMNS, **SETTINGS, **STREAM, **names, **changes})
        assert isinstance(dataset, StreamedTexts)
        dataset.tokenize(tokenizer, 512)
        return dataset

    return loaded


def firsts(batches: Iterator[dict[str, torch.Tensor]], count: int) -> list[int]:
    """Which file each text is of."""
    ids = [batch["input_ids"][:, 1] - 4 for batch in islice(batches, count)]
    return torch.cat(ids).tolist()


def test_a_stream_goes_through_all_files_in_a_random_order(
    place: Path, load: Callable[..., StreamedTexts]
) -> None:
    dataset = load(place)
    per_pass = FILES * ROWS // SETTINGS["batch_size"]
    read = firsts(dataset.train_batches(0), 2 * per_pass)
    orders = [list(dict.fromkeys(read[i * FILES * ROWS :][: FILES * ROWS])) for i in range(2)]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3]] * 2
    assert all(read.count(file) == 2 * ROWS for file in range(FILES))
    assert orders[0] != orders[1]
    assert (
        len({tuple(dict.fromkeys(firsts(load(place, seed=s).train_batches(0), per_pass))) for s in range(4)})
        > 1
    )
    assert [dataset.num_examples(split) for split in ("train", "eval", "test")] == [None, 10, 10]
    assert dataset.texts("eval") == [f"9 {row}" for row in range(10)]
    assert load(place, eval_limit=None).num_examples("eval") == 30


@pytest.mark.parametrize("start", [1, 2, 31, 64, 87, 88, 175, 176, 349, 350, 351, 700])
def test_any_batch_is_found_again_by_its_state(
    tmp_path: Path, load: Callable[..., StreamedTexts], start: int
) -> None:
    place = write(tmp_path / "mine", "parquet")
    whole = load(place)
    batches = whole.train_batches(0)
    for _ in range(start):
        next(batches)
    state = json.loads(json.dumps(whole.state(start)))
    again = load(place)
    again.load_state(state)
    for one, two in zip(islice(batches, 4), islice(again.train_batches(start), 4), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_names_of_classes_are_the_data_set_s_or_given(
    tmp_path: Path, load: Callable[..., StreamedTexts]
) -> None:
    assert load(write(tmp_path / "a", "parquet"), class_names=None).class_names == ["no", "yes"]
    with pytest.raises(DataError, match=r"'label' does not name them .*fix: class_names="):
        load(write(tmp_path / "b", "jsonl"), class_names=None)


def test_files_that_lie_flat_are_a_stream_too(tmp_path: Path, load: Callable[..., StreamedTexts]) -> None:
    place = repository(
        tmp_path / "flat", train=[(f"1 {i}", ["no", "yes"][i % 2]) for i in range(40)], test=[("2", "no")]
    )
    dataset = load(place)
    assert set(firsts(dataset.train_batches(0), 10)) == {1}
    assert dataset.fingerprint() == load(place).fingerprint()


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path, load: Callable[..., StreamedTexts]) -> None:
    place = write(tmp_path / "a", "jsonl")
    before = load(place).fingerprint()
    assert load(place, seed=7).fingerprint() == before
    with (place / "data" / "train-00002-of-00004.jsonl").open("a") as file:
        file.write('\n{"text": "more", "label": "no"}')
    assert load(place).fingerprint() != before


@pytest.mark.parametrize(
    ("last", "changes", "message"),
    [
        ({"text": None}, {}, rf"the text is None, not a string .*\[train\] file 3 row {ROWS - 1}"),
        ({"label": None}, {}, rf"the label is missing .*\[train\] file 3 row {ROWS - 1}"),
        ({"label": "maybe"}, {}, rf"label 'maybe' is not a class.*\[train\] file 3 row {ROWS - 1}"),
        ({}, {"text_column": "sentence"}, r"no column 'sentence': columns are text, label"),
        ({}, {"eval_split": "validation"}, r"no split 'validation'.*fix: eval_split="),
    ],
)
def test_bad_data(
    tmp_path: Path, load: Callable[..., StreamedTexts], last: dict[str, Any], changes: Any, message: str
) -> None:
    place = write(tmp_path / "mine", "jsonl", **last)
    with pytest.raises(DataError) as caught:
        firsts(load(place, **changes).train_batches(0), FILES * ROWS)
    assert caught.match(message)
    assert "\n" not in caught.value.line()


def test_a_file_without_rows_is_passed_over(tmp_path: Path, load: Callable[..., StreamedTexts]) -> None:
    place = write(tmp_path / "mine", "jsonl")
    (place / "data" / f"train-00001-of-{FILES:05}.jsonl").write_text("")
    read = firsts(load(place).train_batches(0), 2 * 3 * ROWS // SETTINGS["batch_size"])
    assert set(read) == {0, 2, 3}


def test_a_split_without_rows_is_an_error() -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.Value("string")})
    table = datasets.IterableDataset.from_generator(lambda: iter(()), features)
    with pytest.raises(DataError, match="there are no rows"):
        next(HubStream(table, ("text", "label"), "here").parts(None))


def test_a_stream_that_breaks_off_is_one_line(
    tmp_path: Path, load: Callable[..., StreamedTexts], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    dataset = load(write(tmp_path / "mine", "parquet"))

    def broken(*_: Any, **__: Any) -> Iterator[Any]:
        yield {"text": ["1 1"] * 20, "label": [0] * 20}
        raise ConnectionError("the server\nhas gone")

    monkeypatch.setattr(datasets.IterableDataset, "iter", broken)
    batches = dataset.train_batches(0)
    next(batches)
    with pytest.raises(DataError, match="ConnectionError: the server has gone") as caught:
        firsts(batches, 5)
    assert caught.value.exit_code == 3
    assert "row 20 | fix: when it can be read again, aiexp resume" in caught.value.line()


def test_without_a_network_the_hub_is_not_asked(load: Callable[..., StreamedTexts]) -> None:
    with pytest.raises(DataError, match="AIEXP_OFFLINE forbids the network"):
        load(Path("owner/name"))


def test_a_killed_run_on_a_stream_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(tmp_path / "mine", "parquet")
    monkeypatch.chdir(tmp_path)
    logging.getLogger("datasets").setLevel(logging.ERROR)
    settings = [
        *("task=bert_finetune", "model=bert_tiny", "dataset=hub", f"dataset.name={place}"),
        *(
            "dataset.streaming=true",
            "dataset.eval_split=test",
            "dataset.block_size=16",
            "dataset.batch_size=4",
        ),
        *("trainer.epochs=null", "trainer.steps=9", "trainer.evaluate_every=5", "trainer.checkpoint.every=3"),
        *("tracker=none", "hardware.device=cpu", "hardware.threads=1"),
    ]

    check_killed_and_resumed(settings, 7, tmp_path)
