"""Sharded weights take the steps of one process; every rank holds its rows of them and of their moments."""

import copy
import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.fsdp  # once, not in every fork

from aiexp.checkpoint.part import is_sharded
from aiexp.dataset.text.dataset import TextDataset
from aiexp.model.image.fast_cnn import FastCnn
from aiexp.trainer.evaluation import evaluate
from aiexp.trainer.finiteness import Later
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.sharding import prepare
from aiexp.trainer.stepper import Stepper
from aiexp.trainer.window import Window
from aiexp.world.world import World
from tests.model.peft.networks import KINDS
from tests.ranks import together
from tests.task.classification import test_image_classification, test_text_classification
from tests.task.images import stripes
from tests.task.language import test_language_modeling
from tests.task.pretraining import test_masked_language_modeling
from tests.task.tagging import test_token_tagging
from tests.toys import make_hardware
from tests.world.test_parity import Made

STEPS = 8
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
ADAM = partial(torch.optim.AdamW, lr=3e-4, eps=1e-4)


def texts(optimizer: Any = SGD, **changes: Any) -> Made:
    """Classes that weigh differently, batches of 16, 16, 13 texts, and 13 to evaluate in batches of 5."""
    task, _ = test_text_classification.make(
        optimizer=optimizer, class_weights=[0.2, 1.0, 3.0], label_smoothing=0.1, **changes
    )
    splits = {s: test_text_classification.texts(n, i) for i, (s, n) in enumerate(SIZES.items())}
    dataset = TextDataset(
        splits=splits, class_names=task.class_names, source="generated", batch_size=16, eval_batch_size=5,
        max_tokens=32, pad_multiple=1, limit=None, shots=None, seed=0, num_workers=0,
    )  # fmt: skip
    dataset.tokenize(task.model.tokenizer, 32)
    return task, dataset


SIZES = {"train": 45, "eval": 13, "test": 7}


def images(**changes: Any) -> Made:
    return test_image_classification.make(stripes(num=31, batch_size=8), optimizer=SGD, **changes)


def running_text(**changes: Any) -> Made:
    return test_language_modeling.make(Path(tempfile.mkdtemp()), optimizer=SGD, **changes)


def tagged(model: Callable[[], Any]) -> Made:
    return test_token_tagging.make(Path(tempfile.mkdtemp()), model, crf=True, optimizer=SGD)


def masked_text() -> Made:
    return test_masked_language_modeling.make(Path(tempfile.mkdtemp()), optimizer=SGD, next_sentence=True)


CASES: dict[str, tuple[Callable[[], Made], int, float | None]] = {  # how, micro-batches, clip
    "texts": (texts, 1, None),
    "accumulated and clipped": (texts, 3, 0.5),
    "Adam, frozen layers": (partial(texts, optimizer=ADAM, frozen_layers=2, layer_decay=0.8), 1, 1.0),
    "images": (images, 1, 1.0),
    "running text": (running_text, 2, 1.0),
    "tagged, a frozen pooler": (partial(tagged, test_token_tagging.bert), 1, 1.0),
    "tagged, a BiLSTM": (partial(tagged, test_token_tagging.bilstm), 1, None),
    "masked text": (masked_text, 1, 1.0),
    "LoRA, the rest frozen": (partial(texts, peft=KINDS["lora everywhere"]()), 1, None),
    "IA3, the rest frozen": (partial(texts, peft=KINDS["ia3"]()), 2, 1.0),
    "prefix, the rest frozen": (partial(running_text, peft=KINDS["prefix"]()), 1, 1.0),
    "prompt, the rest frozen": (partial(running_text, peft=KINDS["prompt"]()), 1, 1.0),
}
BATCH_NORM = FastCnn(channels=1, image_size=28, widths=(8, 8, 8), scale=0.1)
HALF: dict[str, tuple[Callable[[], Made], int, float | None]] = {
    "texts in bf16": (texts, 1, 1.0),
    "batch norm in bf16": (lambda: images(model=copy.deepcopy(BATCH_NORM)), 1, 1.0),
}


def train(name: str, world: World, precision: str = "fp32") -> dict[str, Any]:
    """Eight steps of a case, after an evaluation as in every run; its weights, metrics, and an evaluation."""
    make, accumulate, clip = (CASES | HALF)[name]
    task, dataset = make()
    hardware = make_hardware(parallel="fsdp", precision=precision)
    hardware.world = task.world = world
    world.is_sharded = False
    prepare(task, hardware)
    schedule = Schedule(shape="cosine", warmup=2, hold=0, final=0.0)
    stepper = Stepper(task, hardware, schedule=schedule, total_steps=STEPS, clip=clip)
    if name == "accumulated and clipped":  # as on a GPU
        stepper.metrics = Window(task, is_deferred=True)
        stepper.finiteness = Later(world, task.device, is_scaled=False)
    batches = task.batches(dataset, 0)
    evaluate(task, dataset, "eval", hardware)
    task.train()
    for number in range(1, STEPS + 1):
        stepper.step(number, list(itertools.islice(batches, accumulate)))
    stepper.check_weights(STEPS)
    (optimizer,) = stepper.optimizers.values()
    moments = [m for state in optimizer.state.values() for m in state.values() if is_sharded(m)]
    return {
        "held": sum(own(p).numel() for p in task.parameters()),
        "moments": sum(own(m).numel() for m in moments),
        "weights": torch.cat([whole(p).flatten() for p in task.parameters()]).tolist(),
        "metrics": stepper.take_metrics(),
        "evaluation": evaluate(task, dataset, "eval", hardware).metrics,
        "report": sorted(evaluate(task, dataset, "test", hardware, report=True).metrics),
    }


def whole(tensor: Any) -> Any:
    return (tensor.full_tensor() if is_sharded(tensor) else tensor).detach()


def own(tensor: Any) -> Any:
    return tensor.to_local() if is_sharded(tensor) else tensor


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return {name: train(name, World()) for name in CASES}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    def all_cases(world: World) -> dict[str, Any]:
        return {name: train(name, world) for name in CASES}

    return together(request.param, all_cases, tmp_path_factory.mktemp("ranks"))


@pytest.mark.ranks
@pytest.mark.parametrize("name", CASES)
def test_sharded_weights_take_the_steps_of_one_process(
    name: str, alone: dict[str, Any], ranks: list[Any]
) -> None:
    one, several = alone[name], [rank[name] for rank in ranks]
    difference = torch.tensor(one["weights"]) - torch.tensor(several[0]["weights"])
    print(f"{name}: {len(ranks)} ranks, largest difference {difference.abs().max():.1e}")
    assert difference.abs().max() < 1e-6
    assert all(rank["weights"] == several[0]["weights"] for rank in several)
    assert several[0]["metrics"] == pytest.approx(one["metrics"], rel=1e-4, abs=1e-6)
    assert several[0]["evaluation"] == pytest.approx(one["evaluation"], rel=1e-4, abs=1e-5)
    assert all(rank["evaluation"] == several[0]["evaluation"] for rank in several)
    # Together they hold every number once, and no rank much more than its share.
    assert sum(rank["held"] for rank in several) == len(one["weights"])
    assert several[0]["held"] < 1.1 * len(one["weights"]) / len(ranks) + 100
    assert "frozen" in name or several[0]["moments"] >= several[0]["held"]


@pytest.mark.ranks
def test_in_bf16_they_learn_as_one_process_does(tmp_path: Path) -> None:
    """Batch norm, of which each rank has statistics of its own, has weights that are not gathered in bf16."""

    def metrics(world: World) -> dict[str, Any]:
        return {name: train(name, world, "bf16")["metrics"] for name in HALF}

    one, (first, second) = metrics(World()), together(2, metrics, tmp_path)
    assert first == second
    assert first["texts in bf16"] == pytest.approx(one["texts in bf16"], rel=2e-2)
    assert first["batch norm in bf16"]["train/loss"] == pytest.approx(
        one["batch norm in bf16"]["train/loss"], rel=0.1
    )
