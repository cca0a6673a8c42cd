"""The loop against loops written by hand, and against tasks that break the contract."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aiexp.checkpoint.state import seed_everything
from aiexp.errors import AiexpError, ConfigError, DataError, DivergedError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.session.session import Session
from aiexp.task.base import Task, Update
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.selection import Selection
from tests.toys import NO_AVERAGE, Adversaries, Classify, Points, Replay, make_hardware, make_trainer, new_run

LAST = Selection(monitor=None, mode="max", patience=None, average=NO_AVERAGE)
CONSTANT = Schedule(shape="constant", warmup=0, hold=0, final=0.0)


def fit(
    task: Task, folder: Path, dataset: Any = None, precision: str = "fp32", **changes: Any
) -> RunDirectory:
    directory = new_run(folder)
    with Session(directory, directory.read_config()) as session:
        make_trainer(**changes).fit(task, dataset or Points(), make_hardware(precision=precision), session)
    return directory


def largest_difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def test_supervised_equals_a_hand_written_loop(tmp_path: Path) -> None:
    seed_everything(0)
    ours = Plain()
    by_hand = copy.deepcopy(ours)
    fit(ours, tmp_path, steps=30, selection=LAST, clip=0.5)
    schedule = Schedule(shape="cosine", warmup=3, hold=0, final=0.0)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    batches = Points().train_batches(0)
    for step in range(1, 31):
        optimizer.param_groups[0]["lr"] = 0.1 * schedule.factor(step, 30)
        batch = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(by_hand.model(batch["x"]), batch["y"]).backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimizer.step()
    assert largest_difference(ours, by_hand) == 0.0


def test_gan_equals_a_hand_written_loop(tmp_path: Path) -> None:
    seed_everything(0)
    ours = Adversaries()
    by_hand = copy.deepcopy(ours)
    fit(ours, tmp_path, steps=50, selection=LAST, clip=None, schedule=CONSTANT)
    optimizers, batches = by_hand.make_optimizers(), Points().train_batches(0)
    for _ in range(50):
        batch = next(batches)
        fake = by_hand.generator(F.one_hot(batch["y"], 3).float())
        judged = by_hand.discriminator(batch["x"]), by_hand.discriminator(fake.detach())
        loss = F.softplus(-judged[0]).mean() + F.softplus(judged[1]).mean()
        optimizers["discriminator"].zero_grad()
        loss.backward()
        optimizers["discriminator"].step()
        optimizers["generator"].zero_grad()
        F.softplus(-by_hand.discriminator(fake)).mean().backward()
        optimizers["generator"].step()
    assert largest_difference(ours, by_hand) == 0.0


@pytest.mark.parametrize("make", ["plain", "gan"])
def test_accumulating_equals_one_large_batch(tmp_path: Path, make: str) -> None:
    """4 batches of 5 against 1 of 20, over the whole data, for one optimizer and for two."""
    seed_everything(0)
    small = Plain() if make == "plain" else Adversaries(optimizer=torch.optim.SGD, lr=0.05)
    large = copy.deepcopy(small)
    settings: dict[str, Any] = {"steps": 10, "selection": LAST, "clip": None, "schedule": CONSTANT}
    fit(small, tmp_path, InOrder(batch_size=5), accumulate=4, **settings)
    fit(large, tmp_path, InOrder(batch_size=20), **settings)
    assert largest_difference(small, large) < 1e-6


def test_metrics_have_their_names_and_means(tmp_path: Path) -> None:
    seed_everything(0)
    directory = fit(Classify(), tmp_path, steps=10, log_every=5, evaluate_every=10)
    lines = read_metrics(directory.path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 10, 10, 10]
    assert {
        "train/loss", "train/accuracy", "train/gradient_norm", "train/learning_rate", "train/epoch",
        "time/step_seconds", "time/examples_per_second", "step",
    } == set(lines[0])  # fmt: skip
    assert lines[0]["train/epoch"] == 0.5
    assert set(lines[2]) == {"step", "eval/loss", "eval/accuracy"}
    assert set(lines[3]) == {"step", "test/loss", "test/accuracy"}
    assert 0 <= lines[0]["train/accuracy"] <= 1


def test_epochs_become_steps() -> None:
    points = Points(num_train=40, batch_size=4)
    assert make_trainer(steps=None, epochs=3).total_steps(points) == 30
    assert make_trainer(steps=None, epochs=0.5).total_steps(points) == 5
    assert make_trainer(steps=None, epochs=3, accumulate=4).total_steps(points) == 8


def test_evaluation_once_an_epoch_and_at_the_end(tmp_path: Path) -> None:
    directory = fit(Classify(), tmp_path, steps=25, evaluate_every="epoch")
    lines = read_metrics(directory.path / "metrics.jsonl")
    assert [line["step"] for line in lines if "eval/loss" in line] == [10, 20, 25]


def test_early_stopping_and_the_best_checkpoint(tmp_path: Path) -> None:
    task = Scripted([0.1, 0.5, 0.3, 0.2, 0.9])
    selection = Selection(monitor="eval/score", mode="max", patience=2, average=NO_AVERAGE)
    directory = fit(task, tmp_path, steps=50, evaluate_every=2, selection=selection)
    status = directory.read_json("status.json")
    assert (status["step"], status["best_step"]) == (8, 4)
    assert read_metrics(directory.path / "metrics.jsonl")[-1] == {"step": 8, "test/score": 0.5}


def test_the_best_of_a_minimum_and_nan_never_wins(tmp_path: Path) -> None:
    task = Scripted([0.4, float("nan"), 0.2, 0.3])
    selection = Selection(monitor="eval/score", mode="min", patience=None, average=NO_AVERAGE)
    directory = fit(task, tmp_path, steps=8, evaluate_every=2, selection=selection)
    assert directory.read_json("status.json")["best_step"] == 6


def test_unknown_monitor_stops_before_the_first_step(tmp_path: Path) -> None:
    task = Classify()
    with pytest.raises(ConfigError, match=r"Did you mean 'eval/accuracy'\?"):
        fit(
            task,
            tmp_path,
            selection=Selection(monitor="eval/acuracy", mode="max", patience=None, average=NO_AVERAGE),
        )
    assert not task.pool, "a training step was made"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda self, batch: F.mse_loss(self.model(batch["x"]), batch["x"][:, :3]), "returned a Tensor"),
        (lambda self, batch: iter([1.0]), "yielded a float"),
        (lambda self, batch: iter([]), "yielded nothing"),
        (lambda self, batch: iter([Update(loss=self.model(batch["x"]).sum(), optimizer="modle")]), "'modle'"),
    ],
)
def test_breaking_the_contract_says_how_to_keep_it(tmp_path: Path, body: Any, expected: str) -> None:
    task = type("Broken", (Plain,), {"train_step": body})()
    with pytest.raises(ConfigError, match=expected) as caught:
        fit(task, tmp_path)
    assert "yield Update" in caught.value.fix


def test_yielding_inside_no_grad_is_refused(tmp_path: Path) -> None:
    class Leaky(Plain):
        def train_step(self, batch: Any) -> Iterator[Update]:
            loss = self.model(batch["x"]).sum()
            with torch.no_grad():
                yield Update(loss=loss)

    with pytest.raises(ConfigError, match=r"inside torch\.no_grad"):
        fit(Leaky(), tmp_path)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_update(tmp_path: Path, value: float) -> None:
    class Diverging(Plain):
        steps = 0

        def train_step(self, batch: Any) -> Iterator[Update]:
            self.steps += 1
            factor = value if self.steps == 7 else 1.0
            self.before = [p.detach().clone() for p in self.parameters()]
            yield Update(loss=F.cross_entropy(self.model(batch["x"]), batch["y"]) * factor)

    task = Diverging()
    with pytest.raises(DivergedError, match="step 7") as caught:
        fit(task, tmp_path, selection=LAST)
    assert caught.value.exit_code == 6
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), task.before, strict=True))


def test_a_gradient_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    class Exploding(Plain):
        def train_step(self, batch: Any) -> Iterator[Update]:
            logits = self.model(batch["x"])
            logits.register_hook(lambda gradient: gradient * float("nan"))
            yield Update(loss=F.cross_entropy(logits, batch["y"]))

    with pytest.raises(DivergedError, match="gradient"):
        fit(Exploding(), tmp_path, selection=LAST)


@pytest.mark.parametrize("changes", [{"steps": 5, "epochs": 1}, {"steps": None, "epochs": None}])
def test_a_run_has_one_length(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give exactly one") as caught:
        make_trainer(**changes)
    assert caught.value.where == "steps"


def test_schedule_shapes() -> None:
    linear = Schedule(shape="linear", warmup=0.1, hold=0, final=0.0)
    assert [linear.factor(s, 100) for s in (1, 10, 55, 100)] == [0.1, 1.0, 0.5, 0.0]
    cosine = Schedule(shape="cosine", warmup=0, hold=0, final=0.2)
    assert cosine.factor(50, 100) == pytest.approx(0.6)
    assert cosine.factor(100, 100) == pytest.approx(0.2)
    assert Schedule(shape="constant", warmup=5, hold=0, final=0.0).factor(99, 100) == 1.0
    for hold in (0.5, 50):
        held = Schedule(shape="linear", warmup=10, hold=hold, final=0.0)
        assert [held.factor(s, 100) for s in (5, 10, 50, 75, 100)] == [0.5, 1.0, 1.0, 0.5, 0.0]


def test_an_empty_training_split_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        fit(Plain(), tmp_path, Points(num_train=0))


def test_bf16_autocast_reaches_the_task(tmp_path: Path) -> None:
    class Noting(Plain):
        dtype: Any = None

        def train_step(self, batch: Any) -> Iterator[Update]:
            logits = self.model(batch["x"])
            self.dtype = logits.dtype
            yield Update(loss=F.cross_entropy(logits.float(), batch["y"]))

    task = Noting()
    fit(task, tmp_path, precision="bf16", steps=3, selection=LAST)
    assert task.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in task.parameters())


def test_errors_leave_a_status(tmp_path: Path) -> None:
    with pytest.raises(AiexpError):
        fit(
            Classify(),
            tmp_path,
            selection=Selection(monitor="eval/nothing", mode="max", patience=None, average=NO_AVERAGE),
        )
    status = RunDirectory(next(tmp_path.iterdir())).read_json("status.json")
    assert (status["state"], status["exit_code"]) == ("failed", 2)
    assert "eval/nothing" in status["error"]


class Plain(Task):
    """One linear layer, nothing random."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(8, 3)

    def train_step(self, batch: Any) -> Iterator[Update]:
        yield Update(loss=F.cross_entropy(self.model(batch["x"]), batch["y"]))

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.SGD(self.parameters(), lr=0.1)}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Any:
        from aiexp.task.report import Evaluation

        return Evaluation(metrics={"accuracy": 0.5})


class InOrder(Points):
    """The training rows in their order, so that batch sizes can be compared."""

    def train_batches(self, start: int) -> Iterator[Any]:
        number = start
        while True:
            first = number * self.batch_size % self.num_train
            rows = slice(first, first + self.batch_size)
            yield {"x": self.x[rows], "y": self.y[rows]}
            number += 1


class Scripted(Plain):
    """Evaluations follow a script; the model remembers which one it was saved after."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = [scores[0], *scores]  # the preview before training takes one
        self.register_buffer("score", torch.tensor(0.0, dtype=torch.float64))

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Any:
        from aiexp.task.report import Evaluation

        if split == "eval":
            self.score.fill_(self.scores.pop(0))
        return Evaluation(metrics={"score": self.score.item()})


def test_a_metric_of_the_environment_keeps_its_name(tmp_path: Path) -> None:
    directory = fit(Replay(), tmp_path, steps=10, evaluate_every=100)
    lines = [line for line in read_metrics(directory.path / "metrics.jsonl") if "train/loss" in line]
    assert lines
    assert all(line["env/transitions"] > 0 and line["time/waiting"] == 0.5 for line in lines)
    assert not any(name.startswith(("train/env", "train/time")) for line in lines for name in line)
