"""Tagging through the commands: trained, resumed, asked and exported, and begun from each other."""

import json
import shutil
from pathlib import Path

import pytest

from tests.dataset.tagging.sentences import columns, names
from tests.use.trained_runs import aiexp, train

TINY = ["task=token_tagging", "dataset=tagged_files", "dataset.batch_size=4", "trainer.schedule.warmup=0"]
BERT = ["model=bert_tiny", "model.hidden_size=16", "model.intermediate_size=16"]
BILSTM = ["model=bilstm", "model.hidden_size=8", "model.word_size=8", "task.crf=true"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "names.conll").write_text(columns(names(60)), "utf-8")
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    return [*TINY, f"dataset.train_file={folder / 'names.conll'}", *more]


def answers(folder: Path, run: Path, *typed: str) -> list[dict[str, object]]:
    ended = aiexp(folder, "predict", str(run), *typed, "--format", "jsonl")
    assert ended.code == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_run_tags_texts_and_words_where_its_data_are_gone(folder: Path) -> None:
    run = train(folder, *words(folder, *BILSTM))
    assert (run / "model" / "vocabulary.json").is_file()
    figures = {path.name.rpartition("_")[0] for path in (run / "figures" / "test").iterdir()}
    assert figures == {"confusion_matrix", "spans", "tags", "worst_sentences"}
    (folder / "names.conll").unlink()
    shutil.rmtree(folder / "data")
    (folder / "given.jsonl").write_text('{"text": ["the", "king", "Bo", "."]}\n')
    (text,) = answers(folder, run, "the king Bo.")
    (those,) = answers(folder, run, "given.jsonl", "--column", "text")
    assert text["words"] == ["the", "king", "Bo", "."]
    assert {name: text[name] for name in ("tags", "spans")} == {n: those[n] for n in ("tags", "spans")}
    shown = aiexp(folder, "predict", str(run), "the king Bo.")
    assert shown.stdout.endswith("\tthe king Bo.\n")


@pytest.mark.parametrize("model", [[*BERT, "task.crf=true"], BILSTM])
def test_resumed_it_is_what_it_was(folder: Path, model: list[str]) -> None:
    ended = aiexp(folder, "check", *words(folder), *model, "hardware=cpu", "hardware.threads=1", "--resume")
    assert ended.code == 0, ended.stderr
    assert "everything is equal" in ended.stdout


def test_an_encoder_goes_on_from_a_run_with_other_tags(folder: Path) -> None:
    first = train(folder, *words(folder, *BERT))
    text = (folder / "names.conll").read_text().replace("LOC", "ORG").replace("PER", "ORG")
    (folder / "names.conll").write_text(text)
    second = train(folder, *words(folder, *BERT, f"start_from.model={first}"))
    started = json.loads((second / "environment.json").read_text())["started_from"]
    assert started[0]["left"] == []
    assert json.loads((second / "dataset.json").read_text())["attributes"]["tag_names"] == [
        "B-ORG", "I-ORG", "O",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_export_is_the_network_and_what_chooses_tags(folder: Path) -> None:
    run = train(folder, *words(folder, *BERT, "task.crf=true"))
    ended = aiexp(folder, "export", str(run), "--to", "onnx", "--out", "made")
    assert ended.code == 0, ended.stderr
    made = {path.name for path in (folder / "made").iterdir()}
    assert {"emissions.onnx", "tags.json", "tokenizer.json"} <= made
    assert set(json.loads((folder / "made" / "tags.json").read_text())["crf"]) == {
        "transitions",
        "first",
        "last",
    }
    refused = aiexp(folder, "export", str(run), "--to", "huggingface", "--out", "other")
    assert refused.code == 2
