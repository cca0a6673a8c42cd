"""MAML, its first-order form and Reptile against plain loops over tasks, and the exact resume of a run."""

import copy
import io
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from aiexp.checkpoint.state import seed_everything
from aiexp.config.objects.partners import check_partners
from aiexp.dataset.few_shot.sinusoids import Sinusoids
from aiexp.errors import ConfigError
from aiexp.model.few_shot.conv4 import Conv4
from aiexp.model.few_shot.sine_mlp import SineMlp
from aiexp.task.few_shot.maml import BASELINE_LR_FACTORS, MAML
from aiexp.task.few_shot.protonet import ProtoNet
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.stepper import Stepper
from tests.task.episodes import episodes
from tests.toys import make_hardware

ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
Batch = dict[str, Tensor]


def waves(**changes: int) -> Sinusoids:
    settings = {
        "shots": 5, "queries": 4, "eval_queries": 9, "num_tasks": 12, "batch_size": 6, "eval_batch_size": 5,
        "epoch_batches": 4, "seed": 0,
    }  # fmt: skip
    return Sinusoids(**(settings | changes))


def make(**changes: Any) -> MAML:
    seed_everything(0)
    settings: dict[str, Any] = {
        "model": SineMlp(input_size=1, hidden_sizes=[16, 16]), "dataset": waves(), "optimizer": ADAM,
        "algorithm": "maml", "inner_lr": 0.05, "inner_steps": 1, "inner_points": None,
        "eval_steps": [0, 1, 3], "baseline": None, "num_pictures": 2,
    }  # fmt: skip
    return MAML(**(settings | changes))


def conv4() -> Conv4:
    seed_everything(1)
    return Conv4(channels=1, image_size=16, filters=8, halving="stride")


def make_classes(**changes: Any) -> MAML:
    return make(**({"model": conv4(), "dataset": episodes(), "inner_lr": 0.4} | changes))


def in_float64(batch: Batch) -> Batch:
    return {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}


def first_batch(task: MAML) -> Batch:
    return next((episodes() if task.ways else waves()).train_batches(0))


def looped(task: MAML, batch: Batch, *, second_order: bool) -> tuple[Tensor, list[Tensor]]:
    """The loss and its gradients by two nested loops: over the tasks, over the steps."""
    net, loss_of = task.learner, F.cross_entropy if task.ways else F.mse_loss
    names, shared = zip(*net.named_parameters(), strict=True)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(batch["support_x"])):
        own = list(shared)
        for _ in range(task.inner_steps):
            outputs = functional_call(net, dict(zip(names, own, strict=True)), (batch["support_x"][i],))
            loss = loss_of(outputs, batch["support_y"][i])
            gradients = torch.autograd.grad(loss, own, create_graph=second_order)
            own = [p - task.adaptation.lr * g for p, g in zip(own, gradients, strict=True)]
        outputs = functional_call(net, dict(zip(names, own, strict=True)), (batch["query_x"][i],))
        total = total + loss_of(outputs, batch["query_y"][i])
    mean = total / len(batch["support_x"])
    return mean, list(torch.autograd.grad(mean, shared))


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float = 1e-9) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).norm() <= tolerance * theirs[0].norm()
    assert any(other.abs().max() > 0 for other in theirs)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
@pytest.mark.parametrize("make_task", [make, make_classes], ids=["waves", "classes"])
def test_gradients_equal_those_of_a_double_loop(make_task: Any, algorithm: str, steps: int) -> None:
    task = make_task(algorithm=algorithm, inner_steps=steps).double()
    batch = in_float64(first_batch(task))
    update = next(task.train_step(batch))
    ours = torch.autograd.grad(update.loss, list(task.learner.parameters()))
    loss, theirs = looped(task, batch, second_order=algorithm == "maml")
    assert update.loss.item() == pytest.approx(loss.item(), rel=1e-9)
    assert_close(list(ours), theirs)
    _, others = looped(task, batch, second_order=algorithm != "maml")
    assert (theirs[0] - others[0]).norm() > 1e-4 * theirs[0].norm(), "the second order makes no difference"


def test_reptile_goes_where_plain_descent_ends() -> None:
    task = make(algorithm="reptile", inner_steps=5, inner_points=3).double()
    batch = in_float64(first_batch(task))
    update = next(task.train_step(batch))
    ours = torch.autograd.grad(update.loss, list(task.learner.parameters()))
    ends: list[list[Tensor]] = []
    for i in range(6):
        net = copy.deepcopy(task.learner)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        x, y = (torch.cat([batch[f"support_{c}"][i], batch[f"query_{c}"][i]]) for c in "xy")
        for rows in (slice(0, 3), slice(3, 6), slice(6, 9), slice(0, 3), slice(3, 6)):
            optimizer.zero_grad()
            F.mse_loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
        ends.append([p.detach() for p in net.parameters()])
    means = [torch.stack(each).mean(0) for each in zip(*ends, strict=True)]
    differences = [p.detach() - mean for p, mean in zip(task.learner.parameters(), means, strict=True)]
    assert_close(list(ours), differences)
    start = nn.utils.parameters_to_vector(task.learner.parameters()).detach()
    squares = [(start - nn.utils.parameters_to_vector(end)).square().sum().item() for end in ends]
    assert update.loss.item() == pytest.approx(sum(squares) / 6 / 2, rel=1e-9)


@pytest.mark.parametrize("make_task", [make, make_classes], ids=["waves", "classes"])
def test_course_equals_one_task_after_another(make_task: Any) -> None:
    task = make_task().double()
    batch = in_float64(first_batch(task))
    with torch.no_grad():
        ours = task.adaptation.outputs_after(
            batch["support_x"], batch["support_y"], batch["query_x"], [0, 2, 3]
        )
    loss_of = F.cross_entropy if task.ways else F.mse_loss
    for i in range(ours.shape[1]):
        net = copy.deepcopy(task.learner)
        optimizer = torch.optim.SGD(net.parameters(), lr=task.adaptation.lr)
        outputs: list[Tensor] = []
        for step in range(4):
            if step in (0, 2, 3):
                outputs.append(net(batch["query_x"][i]).detach())
            optimizer.zero_grad()
            loss_of(net(batch["support_x"][i]), batch["support_y"][i]).backward()
            optimizer.step()
        assert torch.allclose(ours[:, i], torch.stack(outputs), rtol=1e-9, atol=1e-12)


def make_stepper(task: MAML, **changes: Any) -> Stepper:
    hardware = make_hardware(**changes)
    hardware.prepare(task)
    schedule = Schedule(shape="constant", warmup=0, hold=0, final=0.0)
    return Stepper(task, hardware, schedule=schedule, total_steps=100, clip=None)


def losses(task: MAML, steps: int, **changes: Any) -> list[float]:
    stepper, found = make_stepper(task, **changes), []
    batches = (episodes() if task.ways else waves()).train_batches(0)
    for number in range(1, steps + 1):
        stepper.window = {}
        stepper.step(number, [next(batches)])
        found.append(next(v[0] for k, v in stepper.window.items() if k in ("loss", "loss/model")))
    return found


GOLDEN: dict[str, list[float]] = {
    "maml": [2.620969, 3.318866, 1.419168],
    "fomaml": [2.620969, 3.343344, 1.424713],
    "reptile": [0.01312001, 0.02020986, 0.005054874],
}


@pytest.mark.parametrize("algorithm", GOLDEN)
def test_golden_losses(algorithm: str) -> None:
    assert losses(make(algorithm=algorithm), 3) == pytest.approx(GOLDEN[algorithm], rel=2e-5)


def test_lower_precision_changes_nothing() -> None:
    assert losses(make(), 3, precision="bf16") == losses(make(), 3)


def test_the_baseline_takes_nothing_from_the_learner() -> None:
    """Nor from the random numbers: both learn as if alone, the baseline from all points as one."""
    task = make(baseline=ADAM)
    alone = make()
    assert losses(task, 4) == losses(alone, 4)
    for mine, other in zip(task.learner.parameters(), alone.learner.parameters(), strict=True):
        assert torch.equal(mine, other)
    net = make().learner
    optimizer, batches = ADAM(net.parameters()), waves().train_batches(0)
    for _ in range(4):
        batch = next(batches)
        x, y = (torch.cat([batch[f"support_{c}"], batch[f"query_{c}"]], 1).flatten(0, 1) for c in "xy")
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        optimizer.step()
    for mine, other in zip(task.baseline.parameters(), net.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_learns_a_batch_by_heart() -> None:
    task = make(optimizer=partial(torch.optim.Adam, lr=1e-2), inner_steps=2)
    batch, (optimizer,) = first_batch(task), task.make_optimizers().values()
    first = last = next(task.train_step(batch)).loss.item()
    for _ in range(200):
        optimizer.zero_grad()
        update = next(task.train_step(batch))
        update.loss.backward()
        optimizer.step()
        last = update.loss.item()
    assert last < first / 5


def test_learns_to_classify_unseen_classes() -> None:
    task = make_classes(optimizer=partial(torch.optim.Adam, lr=1e-2))
    data = episodes(batch_size=8)
    stepper, batches = make_stepper(task), data.train_batches(0)
    for number in range(1, 61):
        stepper.step(number, [next(batches)])
    with torch.inference_mode():
        metrics = task.eval().evaluate(data, "test").metrics
    assert metrics["accuracy_0"] < 0.55  # three classes: nothing is known before the first step
    assert metrics["accuracy_1"] > 0.75
    assert metrics["accuracy"] == metrics["accuracy_3"]


def test_evaluation_by_hand() -> None:
    task, data = make(baseline=ADAM), waves()
    with torch.no_grad():
        task.baseline[-1].bias.add_(1.0)
    with torch.inference_mode():
        evaluation = task.evaluate(data, "eval", report=True)
    tasks = [
        {k: v[i] for k, v in batch.items()}
        for batch in data.eval_batches("eval")
        for i in range(len(batch["phase"]))
    ]
    assert len(tasks) == 12

    def error(net: nn.Module, wave: Batch, steps: int, lr: float) -> float:
        net = copy.deepcopy(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            F.mse_loss(net(wave["support_x"]), wave["support_y"]).backward()
            optimizer.step()
        return F.mse_loss(net(wave["query_x"]), wave["query_y"]).item()

    for steps in (0, 1, 3):
        errors = torch.tensor([error(task.learner, wave, steps, 0.05) for wave in tasks]).double()
        assert evaluation.metrics[f"mse_{steps}"] == pytest.approx(errors.mean().item(), rel=1e-5)
        half = 1.959964 * errors.std().item() / 12**0.5
        assert evaluation.metrics[f"mse_{steps}_interval"] == pytest.approx(half, rel=1e-4)
        rates = [0.05 * factor for factor in BASELINE_LR_FACTORS]
        best = min(sum(error(task.baseline, wave, steps, lr) for wave in tasks) / 12 for lr in rates)
        assert evaluation.metrics[f"baseline_mse_{steps}"] == pytest.approx(best, rel=1e-5)
        assert evaluation.metrics[f"ratio_{steps}"] == pytest.approx(errors.mean().item() / best, rel=1e-4)
    assert [row[0] for row in evaluation.tables["adaptation"].rows] == [0, 1, 3]
    assert picture_size(evaluation.pictures["adaptation"]) == (920, 800)


def picture_size(png: bytes) -> tuple[int, int]:
    from PIL import Image

    return Image.open(io.BytesIO(png)).size


def test_evaluation_of_classes_counts_the_hits() -> None:
    task, data = make_classes(), episodes()
    with torch.inference_mode():
        evaluation = task.evaluate(data, "test", report=True)
    hits: list[float] = []
    for batch in data.eval_batches("test"):
        with torch.no_grad():
            outputs = task.adaptation.outputs_after(
                batch["support_x"], batch["support_y"], batch["query_x"], [3]
            )[0]
        hits += (outputs.argmax(-1) == batch["query_y"]).float().mean(1).tolist()
    assert len(hits) == 10
    assert evaluation.metrics["accuracy"] == pytest.approx(sum(hits) / 10)
    assert evaluation.metrics["accuracy_interval"] > 0
    assert set(evaluation.pictures) == {"episode"}


class Counting(nn.Module):
    """A model with a memory."""

    feature_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)


def test_partners_are_those_of_few_shot_learning() -> None:
    for task in (MAML, ProtoNet):
        for name in ("model", "dataset"):
            with pytest.raises(ConfigError, match="object has no") as caught:
                check_partners(task, {name: object()})
            assert caught.value.where == name


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"eval_steps": [1, 0]}, "eval_steps"),
        ({"model": Counting()}, "model"),
        ({"dataset": episodes(), "model": conv4(), "baseline": ADAM}, "baseline"),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**changes)
    assert caught.value.where == where
    assert "\n" not in caught.value.line()


def test_one_class_of_few_examples_in_a_step_is_taken_in_rounds() -> None:
    """Steps on some of the points see every class: examples come in rounds of one of each."""
    batch = next(episodes(ways=3, shots=2, queries=2).train_batches(0))
    assert batch["support_y"][0].tolist() == [0, 1, 2, 0, 1, 2]


RUN_STEPS = 14
