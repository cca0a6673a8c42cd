"""Every kind of task that is no classifier is evaluated again to the end, with the metrics of its run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aiexp.dataset.few_shot import glyphs
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import STATUS
from aiexp.use.evaluating.evaluating import Request, evaluate_runs
from aiexp.use.evaluating.shown import shown
from aiexp.use.evaluating.written import RECORD, write_outcome
from tests.use.trained_runs import train

GREY = ["dataset.channels=1", "dataset.image_size=28", "dataset.mean=[0.5]", "dataset.std=[0.5]"]
FOLDER = ["dataset=image_folder", "dataset.train_folder=digits", "dataset.test_fraction=0.5", *GREY]
PAIRS = ["dataset=unpaired_folders", "dataset.folder=pairs", "dataset.image_size=24", "dataset.num_eval=1"]
KINDS = [
    (
        ["task=cyclegan", "model=cyclegan_small", *PAIRS, "trainer.selection.monitor=null"],
        {"cycle_l1_a", "cycle_l1_b"},
        "a_to_b.png",
    ),
    (["task=dcgan", "task.quality.classifier=null", *FOLDER], set[str](), "samples.png"),
    (["task=maml_sine", "dataset.num_tasks=4"], {"mse_0", "mse_10", "ratio_10"}, "adaptation.png"),
    (
        ["task=protonet_fewshot", "dataset.batch_size=2", "dataset.num_episodes=4"],
        {"accuracy", "accuracy_interval", "loss"},
        "episode.png",
    ),
]


def letters(examples: int, size: int, *_: Any) -> tuple[Any, list[str], list[str]]:
    """What `glyphs.drawn` returns, of no font."""
    images = np.random.default_rng(0).integers(0, 256, (60, examples, 1, size, size), dtype=np.uint8)
    return images, [str(i) for i in range(60)], [f"script {i // 6}" for i in range(60)]


def draw(folder: Path, count: int, side: int, *channels: int) -> None:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, *channels), dtype=np.uint8)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number}.png")


@pytest.mark.parametrize(("words", "metrics", "picture"), KINDS, ids=[words[0] for words, *_ in KINDS])
def test_an_evaluation_again_has_the_metrics_of_the_run(
    words: list[str], metrics: set[str], picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glyphs, "drawn", letters)
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        draw(tmp_path / "digits" / name, 20, 28)
    for name in ("trainA", "trainB", "testA", "testB"):
        draw(tmp_path / "pairs" / name, 3, 16, 3)
    run = train(tmp_path, *words)
    stored: dict[str, float] = RunDirectory.open(run).read(STATUS)["metrics"]
    ended = {name.removeprefix("test/"): v for name, v in stored.items() if name.startswith("test/")}
    heard: list[tuple[str, int, int | None]] = []
    outcome = evaluate_runs([run], Request(), print, lambda *told: heard.append(told))
    (result,) = outcome.results
    assert result.evaluation.metrics == ended
    assert metrics <= ended.keys()
    assert ("There are no metrics" in shown(outcome)) == (not ended)
    if ended:
        assert heard[-1] == ("test", outcome.num_examples, outcome.num_examples)
    folder = write_outcome(outcome, None)
    assert picture in {path.name for path in folder.iterdir()}
    assert json.loads((folder / RECORD).read_text())["runs"][0]["metrics"] == ended
