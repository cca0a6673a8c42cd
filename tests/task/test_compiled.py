"""`hardware.compile` on every kind of task: it computes what it did, and something is compiled at all."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.config.compose import compose
from aiexp.dataset.few_shot import glyphs
from aiexp.experiment import Experiment
from aiexp.task.contract import training_batches
from aiexp.trainer.stepper import Stepper
from tests.dataset.language.text import verses
from tests.dataset.tagging.sentences import columns, names

pytestmark = pytest.mark.slow  # 5 to 20 s each


def letters(examples: int, size: int, *_: Any) -> tuple[Any, list[str], list[str]]:
    """What `glyphs.drawn` returns, of no font."""
    images = np.random.default_rng(0).integers(0, 256, (60, examples, 1, size, size), dtype=np.uint8)
    return images, [str(i) for i in range(60)], [f"script {i // 6}" for i in range(60)]


def pictures(folder: Path, count: int, side: int, mode: str) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(count)
    for number in range(count):
        pixels = random.integers(0, 256, (side, side) if mode == "L" else (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Overrides for generated data by kind."""
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(glyphs, "drawn", letters)
    for name in ("one", "two"):
        pictures(tmp_path / "digits" / name, 20, 28, "L")
    for name in ("trainA", "trainB", "testA", "testB"):
        pictures(tmp_path / "pairs" / name, 4, 32, "RGB")
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        words = [[f"a text of number {i}", ("down", "up")[i % 2]] for i in range(60)]
        csv.writer(file).writerows([["text", "label"], *words])
    grey = ["dataset.channels=1", "dataset.image_size=28", "dataset.mean=[0.5]", "dataset.std=[0.5]"]
    (tmp_path / "verses.txt").write_text(verses(99), "utf-8")
    (tmp_path / "names.conll").write_text(columns(names(99)), "utf-8")
    return {
        "verses": [
            "dataset=text_file", f"dataset.train_file={tmp_path / 'verses.txt'}", "dataset.context=16",
        ],
        "names": ["dataset=tagged_files", f"dataset.train_file={tmp_path / 'names.conll'}"],
        "digits": ["dataset=image_folder", f"dataset.train_folder={tmp_path / 'digits'}", *grey],
        "pairs": [
            "dataset=unpaired_folders", f"dataset.folder={tmp_path / 'pairs'}", "dataset.image_size=32",
            "trainer.selection.monitor=null",
        ],
        "texts": ["dataset=text_files", f"dataset.train_file={tmp_path / 'texts.csv'}"],
        "own": [],
    }  # fmt: skip


STILL = ["model=bert_tiny", "model.dropout=0", "model.attention_dropout=0", "task.dropout=0"]
CASES = [
    ("digits", ["task=mnist_cnn"]),
    ("digits", ["task=dcgan", "task.quality.classifier=null"]),
    ("pairs", ["task=cyclegan"]),
    ("verses", ["task=char_lm"]),
    ("verses", ["task=char_lm", "model=lstm_lm"]),
    ("verses", ["task=mlm_pretrain", *STILL[:3], "dataset.vocabulary=wordpiece"]),
    ("texts", ["task=bert_finetune", *STILL]),
    ("texts", ["task=setfit", *STILL[:-1], "task.descriptions=null"]),
    ("names", ["task=token_tagging", *STILL, "task.crf=true"]),
    ("names", ["task=token_tagging", "model=bilstm", "model.dropout=0", "task.dropout=0"]),
    ("own", ["task=dqn_cartpole"]),
    ("own", ["task=maml_sine"]),
    ("own", ["task=maml_fewshot", "dataset.batch_size=2"]),
    ("own", ["task=maml_sine", "task.algorithm=fomaml"]),
    ("own", ["task=protonet_fewshot", "dataset.batch_size=2"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "typed"), CASES, ids=[" ".join(typed[:2]) for _, typed in CASES])
def test_it_trains_as_without(
    kind: str, typed: list[str], data: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[int] = []

    def count(module: Any, inputs: Any) -> Any:
        graphs.append(len(module.graph.nodes))
        return module.forward

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: original(function, backend=count))
    ends: list[dict[str, float]] = []
    for is_compiled in ("false", "true"):
        torch._dynamo.reset()
        quiet = ["tracker=none", "hardware=cpu", "hardware.precision=fp32", f"hardware.compile={is_compiled}"]
        made = Experiment.of(compose([*typed, *data[kind], *quiet]).config)
        made.hardware.prepare(made.task)
        stepper = Stepper(made.task, made.hardware, schedule=made.trainer.schedule, total_steps=9, clip=None)
        made.task.train()
        batches = training_batches(made.task, made.dataset, 0)
        for number in (1, 2):
            stepper.step(number, [next(batches)])
        ends.append({n: v for n, v in stepper.take_metrics().items() if not n.startswith("time/")})
        assert bool(graphs) == (is_compiled == "true")
    assert ends[1] == pytest.approx(ends[0], rel=1e-3, abs=1e-4)
