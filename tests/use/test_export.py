"""Exported networks: what was trained, for inputs of any size, and the program on the card runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.errors import AiexpError, ConfigError, StorageError
from aiexp.runs.loaded import load_run
from aiexp.use.exporting.export import FORMS, Request, export
from aiexp.use.exporting.weights_form import load_weights

REPOSITORY = Path(__file__).parents[2]


def exported(run: Path, form: str, folder: Path, *, quantize: bool = False) -> tuple[Any, Path, list[str]]:
    """The loaded run, the folder of the export, and what was said."""
    said: list[str] = []
    task = load_run(run)
    return task, export(task, Request(form=form, out=folder, quantize=quantize), said.append), said


def batch_of(inputs: Any, values: list[Any]) -> dict[str, torch.Tensor]:
    return inputs.collate(inputs.prepare(values))


def read_back(form: str, folder: Path, run: Any) -> Any:
    return FORMS[form](run, run.task.networks()).read("logits", folder)


def card_program(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the program of the README inside the folder."""
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("form", ["onnx", "torch_export", "weights", "huggingface"])
def test_texts_of_any_number_and_length_padded_and_not(texts: Path, tmp_path: Path, form: str) -> None:
    run, folder, said = exported(texts, form, tmp_path / "out")
    inputs, network = run.task.inputs(), read_back(form, folder, run)
    for values in (["film"], ["great"] * 5, ["great film " * 30, "dull"], ["a", "b c", "warm " * 100] * 3):
        batch = batch_of(inputs, values)
        (logits,) = network.outputs([batch["input_ids"], batch["attention_mask"]])
        assert torch.allclose(logits, run.task.logits(batch), atol=1e-5)
    assert "32 examples of the test split" in said[0]
    answers = card_program(folder)
    assert answers.returncode == 0, answers.stderr
    batch = batch_of(inputs, ["a film to remember", "what a waste of time, and of money"])
    classes = [run.task.class_names[i] for i in run.task.logits(batch).argmax(1).tolist()]
    assert answers.stdout.strip() == repr(classes)


@pytest.mark.parametrize("form", ["onnx", "torch_export", "weights"])
def test_pictures_of_any_number(pictures: Path, tmp_path: Path, form: str) -> None:
    run, folder, said = exported(pictures, form, tmp_path / "out")
    network = read_back(form, folder, run)
    for count in (1, 2, 33):
        images = torch.randint(0, 256, (count, 1, 20, 20), dtype=torch.uint8)
        (logits,) = network.outputs([images])
        assert torch.allclose(logits, run.task.logits({"images": images}), atol=1e-5)
    assert "18 examples of the test split" in said[0]
    pixels = np.random.default_rng(0).integers(0, 256, (50, 31)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    answers = card_program(folder)
    assert answers.returncode == 0, answers.stderr
    batch = batch_of(run.task.inputs(), [folder / "picture.png"])
    assert answers.stdout.strip() == repr([run.task.class_names[int(run.task.logits(batch).argmax())]])


def test_a_model_of_transformers_and_its_tokenizer_say_what_the_task_says(
    texts: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run, folder, _ = exported(texts, "huggingface", tmp_path / "out")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    values = ["A great film!", "dull", "warm and fine " * 40]
    made = tokenizer(values, padding=True, truncation=True, return_tensors="pt")
    batch = batch_of(run.task.inputs(), values)
    assert torch.equal(made["input_ids"], batch["input_ids"])
    assert torch.equal(made["attention_mask"].bool(), batch["attention_mask"])
    with torch.no_grad():
        assert torch.allclose(model(**made).logits, run.task.logits(batch), atol=1e-6)
    assert list(model.config.id2label.values()) == run.task.class_names


def test_weights_are_a_task_again_without_the_run(texts: Path, tmp_path: Path) -> None:
    run, folder, _ = exported(texts, "weights", tmp_path / "out")
    folder = folder.rename(tmp_path / "elsewhere")
    task = load_weights(folder)
    state = task.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in run.task.state_dict().items())
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(AiexpError, match="cannot be loaded") as caught:
        load_weights(folder)
    assert caught.value.exit_code == 4


def test_a_copy_in_8_bits_is_smaller_and_compared(texts: Path, tmp_path: Path) -> None:
    _, folder, said = exported(texts, "onnx", tmp_path / "out", quantize=True)
    small = json.loads((folder / "export.json").read_text())["networks"]["logits"]["int8"]
    sizes = [(folder / name).stat().st_size for name in ("logits.onnx", "logits.int8.onnx")]
    assert small["num_bytes"] == sizes
    assert sizes[1] < 0.5 * sizes[0]
    ours, theirs = small["accuracy"]
    assert abs(ours - theirs) <= 0.1
    assert small["num_examples"] == 36
    assert "in 8 bits: logits.int8.onnx" in (folder / "README.md").read_text()
    assert "ms an input, was" in said[1]


def test_a_card_says_data_results_and_limits(texts: Path, tmp_path: Path) -> None:
    _, folder, _ = exported(texts, "onnx", tmp_path / "out")
    card = (folder / "README.md").read_text()
    metrics = json.loads((texts / "status.json").read_text())["metrics"]
    assert f"| test/accuracy | {metrics['test/accuracy']:.4f} |" in card
    assert "licence is not known" in card
    assert "tokens from 2 to 40" in card
    assert "one of 2 classes (0, 1)" in card
    assert "_target_: aiexp.task.classification.text.TextClassification" in card


def test_without_its_data_made_up_inputs_are_tried(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiexp.use.exporting.examples.build_task", _no_data)
    _, _, said = exported(pictures, "torch_export", tmp_path / "out")
    assert said[0] == "the data set cannot be read, so made-up inputs are tried: gone"
    assert "32 made-up examples" in said[1]


def _no_data(*_: Any) -> None:
    raise ConfigError("gone")


def test_an_export_replaces_an_older_one_but_nothing_else(texts: Path, tmp_path: Path) -> None:
    _, folder, _ = exported(texts, "weights", tmp_path / "out")
    (folder / "README.md").unlink()
    exported(texts, "weights", folder)
    assert (folder / "README.md").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    with pytest.raises(StorageError, match="something else"):
        exported(texts, "weights", tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["notes.txt"]
    assert not list(tmp_path.glob(".*"))
