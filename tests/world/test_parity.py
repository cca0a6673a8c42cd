"""Two and three ranks take the steps that one process takes on the same batches, whatever the task."""

import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from aiexp.checkpoint.digest import digests
from aiexp.model.adversarial.dcgan import DCGAN
from aiexp.trainer.evaluation import evaluate
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.stepper import Stepper
from aiexp.world.world import World
from tests.model.peft.networks import KINDS
from tests.ranks import together
from tests.task.adversarial import test_cyclegan, test_gan
from tests.task.classification import test_image_classification, test_text_classification, test_vector
from tests.task.episodes import episodes
from tests.task.few_shot import test_maml, test_protonet
from tests.task.images import stripes
from tests.task.language import test_language_modeling
from tests.task.pretraining import test_masked_language_modeling
from tests.task.pretraining.test_masking import masking
from tests.task.regression import test_vector as test_regression
from tests.task.tagging import test_token_tagging
from tests.toys import Adversaries, Linear, Points, make_hardware, weights

STEPS = 8
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
# On such small pictures a CycleGAN is chaotic: weights 1e-7 apart are 1e-2 apart after five steps of 1e-3.
SLOW = {name: partial(torch.optim.SGD, lr=1e-5) for name in ("generator", "discriminator")}
Made = tuple[Any, Any]  # a task and its data set


def linear(**changes: int) -> Made:
    torch.manual_seed(0)
    return Linear(), Points(**changes)


def adversaries() -> Made:
    torch.manual_seed(0)
    return Adversaries(), Points(num_train=31, batch_size=8)


def gan() -> Made:
    """Three discriminator updates a step, each on a batch of its own; the noise is the same everywhere."""
    torch.randn = lambda *size, **_: torch.full(size, 0.5)  # in a fork, or undone by the fixture
    torch.manual_seed(0)
    latent = test_gan.LATENT
    model = DCGAN(image_size=16, channels=1, latent_size=latent, base_channels=4, discriminator_norm="layer")
    task, _ = test_gan.make(num_discriminator_updates=3, ema_decay=0.9, optimizers=SLOW)
    task.generator, task.discriminator = model.generator, model.discriminator
    return task, stripes(num=19, image_size=16, batch_size=8)


def cyclegan() -> Made:
    task = test_cyclegan.make(pool_size=0, optimizers=SLOW)
    return task, test_cyclegan.make_dataset(batch_size=4)  # 9 pictures: 4, 4, 1


def images() -> Made:
    return test_image_classification.make(stripes(num=31, batch_size=8), optimizer=SGD)


def texts(**changes: Any) -> Made:
    """Classes that weigh differently: the mean is not over examples."""
    weigh = {"class_weights": [0.2, 1.0, 3.0], "label_smoothing": 0.1}
    return test_text_classification.make(optimizer=SGD, **weigh, **changes)


def running_text(**changes: Any) -> Made:
    """Nine windows of evaluation, the last a short one."""
    return test_language_modeling.make(Path(tempfile.mkdtemp()), optimizer=SGD, **changes)


def tagged() -> Made:
    """The mean is over words: sentences of several lengths, a batch of 2 at an epoch's end."""
    model = test_token_tagging.bilstm
    return test_token_tagging.make(Path(tempfile.mkdtemp()), model, crf=True, optimizer=SGD)


def masked_text(**changes: Any) -> Made:
    """Whole words and pairs: sequences have different numbers of hidden tokens."""
    hidden = masking(rate=0.3, whole_words=True)
    return test_masked_language_modeling.make(
        Path(tempfile.mkdtemp()), optimizer=SGD, masking=hidden, **changes
    )


def vectors() -> Made:
    return test_vector.make(test_vector.blobs(batch_size=5), optimizer=SGD, label_smoothing=0.1)


def numbers() -> Made:
    return test_regression.make(test_regression.lines(2), optimizer=SGD)


def maml(algorithm: str) -> Made:
    data = test_maml.waves()
    return test_maml.make(algorithm=algorithm, dataset=data, optimizer=SGD, baseline=SGD), data


def protonet() -> Made:
    data = episodes(batch_size=5)
    return test_protonet.make(dataset=data, optimizer=SGD), data


CASES: dict[str, tuple[Callable[[], Made], int, float | None]] = {  # how, micro-batches, clip
    "linear": (linear, 1, None),
    "last batch of 7": (partial(linear, num_train=31, batch_size=8), 1, 0.5),
    "last batch of 1": (partial(linear, num_train=33, batch_size=8), 1, None),
    "accumulated": (partial(linear, num_train=31, batch_size=8), 3, 0.5),
    "adversaries": (adversaries, 1, None),
    "adversaries, accumulated": (adversaries, 2, 0.5),
    "GAN": (gan, 1, None),
    "CycleGAN": (cyclegan, 1, None),
    "images": (images, 1, 1.0),
    "texts": (texts, 2, 1.0),
    "running text": (running_text, 2, 1.0),
    "tagged": (tagged, 2, 1.0),
    "masked text": (masked_text, 2, 1.0),
    "masked text in pairs": (partial(masked_text, next_sentence=True), 1, 1.0),
    "LoRA": (partial(texts, peft=KINDS["lora"]()), 2, 1.0),
    "prefix": (partial(running_text, peft=KINDS["prefix"]()), 1, 1.0),
    "vectors": (vectors, 1, 1.0),
    "numbers": (numbers, 2, None),
    "MAML": (partial(maml, "maml"), 1, None),
    "FOMAML": (partial(maml, "fomaml"), 1, None),
    "Reptile": (partial(maml, "reptile"), 1, 1.0),
    "ProtoNet": (protonet, 1, None),
}


def train(name: str, world: World) -> dict[str, Any]:
    """Eight steps of a case; its weights, metrics, and those of an evaluation."""
    make, accumulate, clip = CASES[name]
    task, dataset = make()
    hardware = make_hardware()
    hardware.world = task.world = world
    hardware.prepare(task)
    schedule = Schedule(shape="cosine", warmup=2, hold=0, final=0.0)
    stepper = Stepper(task, hardware, schedule=schedule, total_steps=STEPS, clip=clip)
    batches = task.batches(dataset, 0)
    task.train()
    for number in range(1, STEPS + 1):
        stepper.step(number, list(itertools.islice(batches, accumulate)))
    stepper.check_weights(STEPS)
    alike = digests([p.detach() for p in task.parameters()])  # batch norm has statistics of its own
    has_eval = name not in ("GAN", "adversaries", "adversaries, accumulated") and hasattr(task, "evaluate")
    evaluation = evaluate(task, dataset, "eval", hardware).metrics if has_eval else {}
    return {
        "weights": weights(task).tolist(), "digest": alike, "metrics": stepper.take_metrics(),
        "evaluation": evaluation,
    }  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    randn = torch.randn
    results: dict[str, Any] = {}
    for name in CASES:
        results[name] = train(name, World())
        torch.randn = randn
    return results


def all_cases(world: World) -> dict[str, Any]:
    randn, results = torch.randn, dict[str, Any]()
    for name in CASES:
        results[name] = train(name, world)
        torch.randn = randn
    return results


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return together(request.param, all_cases, tmp_path_factory.mktemp("ranks"))


@pytest.mark.ranks
@pytest.mark.parametrize("name", CASES)
def test_ranks_take_the_steps_of_one_process(name: str, alone: dict[str, Any], ranks: list[Any]) -> None:
    one, several = alone[name], [rank[name] for rank in ranks]
    difference = torch.tensor(one["weights"]) - torch.tensor(several[0]["weights"])
    print(f"{name}: {len(ranks)} ranks, largest difference {difference.abs().max():.1e}")
    assert difference.abs().max() < 1e-6
    assert all(rank["digest"] == several[0]["digest"] for rank in several)
    # A GAN's scores are of batches of different sizes, and ranks weigh them all as the first: nearly equal.
    assert several[0]["metrics"] == pytest.approx(
        one["metrics"], rel=0.1 if name == "GAN" else 1e-4, abs=1e-6
    )
    assert several[0]["evaluation"] == pytest.approx(one["evaluation"], rel=1e-4, abs=1e-5)
    assert all(rank["evaluation"] == several[0]["evaluation"] for rank in several)


@pytest.mark.ranks
def test_an_evaluation_on_ranks_is_that_of_one_process_to_the_bit(tmp_path: Path) -> None:
    def evaluated(world: World) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for make in (
            images,
            texts,
            running_text,
            tagged,
            vectors,
            numbers,
            cyclegan,
            partial(maml, "maml"),
            protonet,
        ):
            task, dataset = make()
            hardware = make_hardware()
            hardware.world = task.world = world
            name = f"{type(task).__name__}"
            results[name] = evaluate(task, dataset, "eval", hardware).metrics
        return results

    one = evaluated(World())
    assert len(one) == 9
    for size in (2, 3):
        assert together(size, evaluated, tmp_path) == [one] * size
