"""Pretraining through the commands: trained, resumed, asked, gone on with, and fine-tuned."""

import json
import shutil
from pathlib import Path

import pytest

from aiexp.rundir.directory import RunDirectory
from tests.dataset.language.text import verses
from tests.use.trained_runs import aiexp, texts_run, train

SIZES = ["num_layers=1", "num_heads=2", "hidden_size=16", "intermediate_size=32", "max_tokens=40"]
TINY = ["task=mlm_pretrain", *(f"model.{size}" for size in SIZES)]
TEXT = ["dataset.context=8", "dataset.batch_size=4", "dataset.vocabulary=wordpiece", "dataset.vocab_size=300"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "verses.txt").write_text(verses(60), "utf-8")
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    return ["dataset=text_file", f"dataset.train_file={folder / 'verses.txt'}", *TEXT, *more]


def test_a_run_is_asked_where_its_text_is_gone_and_is_what_fine_tuning_begins_with(folder: Path) -> None:
    run = train(folder, *TINY, *words(folder))
    assert list((run / "figures/eval").glob("samples_step-*.csv"))
    shutil.copytree(run, folder / "kept")
    (folder / "verses.txt").unlink()
    shutil.rmtree(folder / "data")
    ended = aiexp(folder, "predict", str(run), "the [MASK] sings", "--top-k", "2", "--format", "jsonl")
    assert ended.code == 0, ended.stderr
    assert len(json.loads(ended.stdout)["fillings"][0]) == 2
    refused = aiexp(folder, "predict", str(run), "the king sings")
    assert "no [MASK]" in refused.stderr
    tuned = texts_run(folder, "model=minilm", f"model.path={folder / 'kept'}")
    assert (tuned / "model/tokenizer.json").read_bytes() == (run / "model/tokenizer.json").read_bytes()
    shutil.rmtree(folder / "kept")
    asked = aiexp(folder, "predict", str(tuned), "a great film")
    assert asked.code == 0, asked.stderr
    fresh = texts_run(folder, "model=bert_small", f"model.vocabulary={run}", *(f"model.{s}" for s in SIZES))
    assert json.loads((fresh / "model/config.json").read_text())["vocab_size"] < 300


def test_without_a_vocabulary_nothing_is_fine_tuned(folder: Path) -> None:
    (folder / "reviews.csv").write_text("text,label\n" + "good film,1\nbad film,0\n" * 20)
    ended = aiexp(
        folder, "check", "task=bert_finetune", "model=bert_small", "dataset=text_files", "tracker=none",
        f"dataset.train_file={folder}/reviews.csv",
    )  # fmt: skip
    assert ended.code == 2
    assert "model.vocabulary=RUN" in ended.stderr


@pytest.mark.parametrize("more", [
    ["model.dropout=0.2", "task.masking.whole_words=true"],
    ["task.next_sentence=true", "hardware.precision=bf16"],
])  # fmt: skip
def test_resumed_it_is_what_it_was(folder: Path, more: list[str]) -> None:
    settings = ["hardware=cpu", "hardware.threads=1", "trainer.steps=4", "--resume"]
    ended = aiexp(folder, "check", *TINY, *words(folder), *more, *settings)
    assert ended.code == 0, ended.stderr
    assert "everything is equal" in ended.stdout


@pytest.mark.slow  # three runs
def test_a_run_goes_on_with_another(folder: Path) -> None:
    first = train(folder, *TINY, *words(folder))
    (folder / "verses.txt").write_text(verses(70, 3), "utf-8")
    second = train(folder, *TINY, *words(folder, f"start_from={first}", f"dataset.vocabulary={first}"))
    assert RunDirectory(second).read_json("status.json")["state"] == "finished"
    third = train(folder, "task=mlm_pretrain", "model=minilm", f"model.path={first}", *words(folder))
    assert (third / "model/tokenizer.json").read_bytes() == (first / "model/tokenizer.json").read_bytes()
