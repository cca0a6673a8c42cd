"""Language models through the commands: trained, resumed, asked, and begun from each other."""

import json
import shutil
from pathlib import Path

import pytest

from aiexp.rundir.directory import RunDirectory
from tests.dataset.language.text import verses
from tests.model.language.test_networks import save_causal
from tests.use.trained_runs import aiexp, train

TINY = [
    "task=char_lm",
    "model.num_layers=1",
    "model.hidden_size=16",
    "dataset.context=8",
    "dataset.batch_size=4",
]
TINY += ["task.sample_tokens=12", "task.sample_prompt=the king"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "verses.txt").write_text(verses(60), "utf-8")
    return tmp_path


def words(folder: Path, *more: str, name: str = "verses.txt") -> list[str]:
    return [*TINY, "dataset=text_file", f"dataset.train_file={folder / name}", *more]


def answers(folder: Path, run: Path, *typed: str) -> list[dict[str, object]]:
    ended = aiexp(folder, "predict", str(run), *typed, "--format", "jsonl")
    assert ended.code == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_run_goes_on_from_prompts_where_its_text_is_gone(folder: Path) -> None:
    run = train(folder, *words(folder, "dataset.vocabulary=bpe", "dataset.vocab_size=270"))
    (samples,) = (run / "figures/eval").glob("samples_step-*.csv")
    assert samples.read_text().startswith("seed,prompt,continuation\n0,the king,")
    (folder / "verses.txt").unlink()
    shutil.rmtree(folder / "data")
    (one,) = answers(folder, run, "the queen", "--max-tokens", "9", "--temperature", "0")
    (other,) = answers(folder, run, "the queen", "--max-tokens", "9", "--top-k", "1", "--seed", "5")
    assert one == other
    assert one["tokens"] == 9
    shown = aiexp(folder, "predict", str(run), "the queen", "--max-tokens", "9", "--temperature", "0")
    assert shown.stdout.startswith("the queen")
    assert aiexp(folder, "predict", str(run), "x", "--top-p", "2").code == 2


@pytest.mark.parametrize(
    "model", [[], ["model.dropout=0.2", "hardware.precision=bf16"], ["model=lstm_lm", "model.dropout=0.2"]]
)
def test_resumed_it_is_what_it_was(folder: Path, model: list[str]) -> None:
    ended = aiexp(folder, "check", *words(folder), *model, "hardware=cpu", "hardware.threads=1", "--resume")
    assert ended.code == 0, ended.stderr
    assert "everything is equal" in ended.stdout


def test_a_run_begins_with_the_weights_of_another_and_its_vocabulary(folder: Path) -> None:
    first = train(folder, *words(folder))
    (folder / "other.txt").write_text(verses(60, 3).upper(), "utf-8")
    begin = words(folder, f"start_from.model={first}", name="other.txt")
    refused = aiexp(
        folder, "run", *begin, "hardware=cpu", "trainer.steps=1", "trainer.epochs=null", "tracker=none"
    )
    assert refused.code == 2
    second = train(folder, *begin, f"dataset.vocabulary={first}")
    environment = json.loads((second / "environment.json").read_text())
    assert environment["started_from"][0]["left"] == []
    assert RunDirectory(second).read_json("status.json")["state"] == "finished"


def test_a_model_of_transformers_is_trained_and_asked_without_its_folder(folder: Path) -> None:
    save_causal(folder / "causal")
    only = [word for word in words(folder) if not word.startswith("model.")]
    run = train(
        folder, *only, "model=hub_causal", f"model.name={folder / 'causal'}", "dataset.vocabulary=bpe"
    )
    shutil.rmtree(folder / "causal")
    (answer,) = answers(folder, run, "the king sings", "--max-tokens", "20")
    assert answer["prompt_tokens"] == 3
    assert answer["tokens"] <= 20  # pyright: ignore
