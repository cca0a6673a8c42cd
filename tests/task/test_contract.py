"""What breaks the contract of tasks and data sets is one line that names the class and its file."""

from collections import UserDict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.hardware.hardware import Hardware
from aiexp.session.session import Session
from aiexp.task.base import Last, Sum, Task, Update, to_device
from aiexp.task.contract import check_dataset, check_task, checked_fingerprint
from aiexp.task.report import Evaluation
from tests.toys import NO_AVERAGE, Classify, Points, make_hardware, make_trainer, new_run


class Mine(Classify):
    """A task of the user's own, of which a test replaces one method."""


def fit(task: Task, folder: Path, dataset: Any = None, **changes: Any) -> Session:
    check_task(task)
    trainer = make_trainer(**({"steps": 4, "evaluate_every": 2} | changes))
    with Session(new_run(folder), {"seed": 0}) as session:
        trainer.fit(task, dataset or Points(), make_hardware(), session)
    return session


def refused(folder: Path, name: str, body: Callable[..., Any], member: str = "", **changes: Any) -> str:
    """The line that a run of `Mine` with another method ends with."""
    task = type("Mine", (Classify,), {name: body})()
    with pytest.raises(ConfigError) as caught:
        fit(task, folder, **changes)
    line = caught.value.line()
    assert f"Mine.{member or name} " in line
    assert "test_contract.py:" in line or member
    return line


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda loss: loss.repeat(3), "a loss of shape (3,)"),
        (lambda loss: loss.item(), "a loss that is a float"),
        (lambda loss: loss.detach(), "a loss without a graph"),
        (lambda loss: loss.detach().long(), "a loss of torch.int64"),
    ],
)
def test_a_loss_that_cannot_be_minimised(tmp_path: Path, make: Any, expected: str) -> None:
    def train_step(self: Any, batch: Any) -> Iterator[Update]:
        yield Update(loss=make(self.model(batch["x"]).mean()))

    assert expected in refused(tmp_path, "train_step", train_step)


@pytest.mark.parametrize("metrics", [[1.0], {3: 1.0}])
def test_metrics_without_names(tmp_path: Path, metrics: Any) -> None:
    def train_step(self: Any, batch: Any) -> Iterator[Update]:
        yield Update(loss=self.model(batch["x"]).mean(), metrics=metrics)

    assert "no dict of names to numbers" in refused(tmp_path, "train_step", train_step)


def test_an_epoch_without_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Points()
    monkeypatch.setattr(dataset, "batches_per_epoch", lambda: 0)
    with pytest.raises(ConfigError, match="batches_per_epoch returned 0"):
        make_trainer(steps=None, epochs=1.0).total_steps(dataset)


def test_a_metric_that_is_no_number(tmp_path: Path) -> None:
    def train_step(self: Any, batch: Any) -> Iterator[Update]:
        logits = self.model(batch["x"])
        yield Update(loss=logits.mean(), metrics={"each": logits[:, 0]})

    assert "a Tensor of shape (4,) as metric 'each'" in refused(tmp_path, "train_step", train_step)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda m: torch.optim.SGD(m.parameters(), lr=0.1), "returned a SGD"),
        (lambda m: {}, "returned nothing"),
        (lambda m: {"model": m}, "has a Sequential called 'model'"),
        (lambda m: {"model": torch.optim.LBFGS(m.parameters())}, "uses LBFGS"),
        (lambda m: {"model": torch.optim.SGD(m[1].parameters())}, "gives no optimizer model.3.weight"),
        (
            lambda m: {"model": torch.optim.SGD([*m.parameters(), nn.Parameter(torch.ones(1))])},
            "gives 'model' parameters that are not the task's",
        ),
    ],
)
def test_optimizers_that_cannot_work(tmp_path: Path, made: Any, expected: str) -> None:
    assert expected in refused(tmp_path, "make_optimizers", lambda self: made(self.model))


def test_frozen_parameters_need_no_optimizer(tmp_path: Path) -> None:
    task = Mine()
    task.frozen = nn.Linear(2, 2).requires_grad_(False)
    fit(task, tmp_path)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"accuracy": 0.5}, "returned a dict"),
        (Evaluation(metrics={"accuracy": torch.ones(3)}), "of shape (3,) as metric 'accuracy'"),  # pyright: ignore
        (Evaluation(metrics={"accuracy": "0.5"}), "a text as metric"),  # pyright: ignore
        (Evaluation(metrics={"accuracy": 1.0}, pictures={"p": object()}), "savefig"),  # pyright: ignore
        (Evaluation(metrics={"accuracy": 1.0}, tables={"t": [[1]]}), "a list as table 't'"),  # pyright: ignore
        (Evaluation(metrics={"accuracy": 1.0}, pictures={"../../../x": b"\x89PNG"}), "'../../../x'"),
        (Evaluation(metrics={"accuracy": 1.0}, pictures={"/x": b"\x89PNG"}), "'/x'"),
        (Evaluation(metrics={"loss": 1.0}, better={"loss": "lower"}), "better is 'lower' for 'loss'"),
    ],
)
def test_what_is_no_evaluation(tmp_path: Path, result: Any, expected: str) -> None:
    assert expected in refused(tmp_path, "evaluate", lambda self, dataset, split, report=False: result)


def test_an_evaluation_that_is_not_finite_is_said(tmp_path: Path) -> None:
    nothing = Evaluation(metrics={"accuracy": float("nan"), "loss": 1.0})
    task = type("Mine", (Classify,), {"evaluate": lambda *_, **__: nothing})()
    session = fit(task, tmp_path)
    log = (session.directory.path / "run.log").read_text()
    assert "warning: not finite at step 2: eval/accuracy" in log


@pytest.mark.parametrize("value", [deque([1]), {1, 2}, np.random.default_rng(), {(1, 2): 3}, {b"a": 1}])
def test_state_that_no_checkpoint_can_hold_is_found_at_the_start(tmp_path: Path, value: Any) -> None:
    line = refused(tmp_path, "extra_state", lambda self: {"pool": value})
    assert "cannot be saved: state at '/pool' " in line


def test_buffers_of_every_kind_are_saved_or_refused(tmp_path: Path) -> None:
    task = Mine()
    task.register_buffer("eighth", torch.ones(3).to(torch.float8_e4m3fn))
    task.register_buffer("complex", torch.ones(3, dtype=torch.complex64))
    check_task(task)
    session = fit(task, tmp_path)
    model, _ = session.checkpoints.load(4)
    assert torch.equal(model["complex"], task.get_buffer("complex"))
    task.register_buffer("odd", torch.ones(3, dtype=torch.complex128))
    with pytest.raises(ConfigError, match=r"'odd', a torch\.complex128"):
        check_task(task)


def test_state_of_a_module_that_is_no_tensor() -> None:
    class Odd(nn.Linear):
        def get_extra_state(self) -> dict[str, Any]:
            return {"count": 1}

    task = Mine()
    task.odd = Odd(1, 1)
    with pytest.raises(ConfigError, match=r"has 'odd\._extra_state', a dict"):
        check_task(task)


def test_a_layer_without_sizes_is_named() -> None:
    task = Mine()
    task.lazy = nn.LazyLinear(3)
    with pytest.raises(ConfigError, match=r"'lazy\.weight', whose size is not known"):
        check_task(task)


def test_a_description_is_json(tmp_path: Path) -> None:
    assert "is not JSON" in refused(tmp_path, "describe", lambda self: {"classes": torch.ones(2)})


def test_a_data_set_has_every_member() -> None:
    with pytest.raises(ConfigError, match="none is chosen"):
        check_dataset(None)
    with pytest.raises(ConfigError, match=r"object\.batch_size is missing"):
        check_dataset(object())
    dataset = Points()
    dataset.fingerprint = lambda: None  # pyright: ignore
    with pytest.raises(ConfigError, match=r"Points\.fingerprint returned None"):
        checked_fingerprint(dataset)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("is_task", [True, False])
def test_batches_that_end(tmp_path: Path, is_task: bool) -> None:
    class Short(Points):
        def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
            for _, batch in zip(range(3), super().train_batches(start), strict=False):
                yield batch

    class Own(Mine):
        def batches(self, dataset: Any, start: int) -> Iterator[Any]:
            yield from dataset.train_batches(start)

    with pytest.raises(ConfigError) as caught:
        fit(Own() if is_task else Mine(), tmp_path, Short())
    assert (
        f"{'Own.batches' if is_task else 'Short.train_batches'} ended before batch 3" in caught.value.line()
    )


def test_a_model_that_does_not_fit_the_data(tmp_path: Path) -> None:
    task = Mine()
    task.model = nn.Sequential(nn.Linear(9, 3))
    with pytest.raises(ConfigError, match="the model does not fit the data: mat1 and mat2 shapes"):
        fit(task, tmp_path)
    with pytest.raises(ConfigError, match="the model does not fit the data"):
        fit(task, tmp_path / "more", selection=make_trainer().selection.__class__(
            monitor=None, mode="max", patience=None, average=NO_AVERAGE
        ))  # fmt: skip


def test_a_task_knows_how_far_training_is(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {"batches": [], "train_step": [], "evaluate": []}

    class Knows(Mine):
        def batches(self, dataset: Any, start: int) -> Iterator[Any]:
            for batch in dataset.train_batches(start):
                seen["batches"].append(self.progress.step)
                yield batch

        def train_step(self, batch: Any) -> Iterator[Update]:
            seen["train_step"].append(self.progress.step)
            assert self.progress.total_steps == 4
            yield from super().train_step(batch)
            assert self.progress.fraction == self.progress.step / 4

        def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
            seen["evaluate"].append(self.progress.step)
            return super().evaluate(dataset, split, report=report)

    fit(Knows(), tmp_path)
    assert seen == {"batches": [0, 1, 2, 3], "train_step": [0, 1, 2, 3], "evaluate": [0, 2, 4, 4]}


def test_metrics_are_averaged_unless_they_say_otherwise(tmp_path: Path) -> None:
    from aiexp.rundir.metrics import read_metrics

    class Counts(Mine):
        count = 0

        def train_step(self, batch: Any) -> Iterator[Update]:
            Counts.count += 1
            loss = self.model(batch["x"]).mean()
            seen = {"mean": Counts.count, "env/last": Last(Counts.count), "sum": Sum(torch.tensor(2))}
            yield Update(loss=loss, metrics=seen)

    session = fit(Counts(), tmp_path, log_every=4)
    [line] = [m for m in read_metrics(session.directory.path / "metrics.jsonl") if "train/mean" in m]
    assert (line["train/mean"], line["env/last"], line["train/sum"]) == (2.5, 4.0, 8.0)


def test_micro_batches_go_from_yield_to_yield_together(tmp_path: Path) -> None:
    order: list[str] = []

    class Order(Mine):
        def train_step(self, batch: Any) -> Iterator[Update]:
            number = sum("begin" in o for o in order)
            for part in ("begin", "middle"):
                order.append(f"{part} {number}")
                yield Update(loss=self.model(batch["x"]).mean())
            order.append(f"end {number}")

        def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
            optimizers = super().make_optimizers()
            optimizers["model"].register_step_post_hook(lambda *_: order.append("step"))
            return optimizers

    fit(Order(), tmp_path, steps=1, accumulate=2)
    assert order == [
        "begin 0", "begin 1", "step", "middle 0", "middle 1", "step", "end 0", "end 1",
    ]  # fmt: skip


def test_data_is_made_in_full_precision_and_learned_from_in_the_runs(tmp_path: Path) -> None:
    seen: dict[str, bool] = {}

    class Looks(Mine):
        def batches(self, dataset: Any, start: int) -> Iterator[Any]:
            for batch in dataset.train_batches(start):
                seen["batches"] = torch.is_autocast_enabled("cpu")
                yield batch

        def train_step(self, batch: Any) -> Iterator[Update]:
            seen["train_step"] = torch.is_autocast_enabled("cpu")
            yield Update(loss=self.model(batch["x"]).float().mean())
            seen["after"] = torch.is_autocast_enabled("cpu")

        def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
            seen["evaluate"] = torch.is_autocast_enabled("cpu")
            return Evaluation(metrics={"accuracy": 1.0})

    with Session(new_run(tmp_path), {"seed": 0}) as session:
        make_trainer(steps=2).fit(Looks(), Points(), make_hardware(precision="bf16"), session)  # pyright: ignore
    assert seen == {"batches": False, "train_step": True, "after": True, "evaluate": True}


Pair = namedtuple("Pair", "x y")


@dataclass(frozen=True)
class Record:
    x: Tensor
    name: str


class Movable:
    def to(self, device: torch.device) -> str:
        return f"moved to {device}"


def test_tensors_in_any_container_are_moved() -> None:
    x = torch.ones(2)
    meta = torch.device("meta")
    batch = {"pair": Pair(x, 1), "record": Record(x, "a"), "user": UserDict(x=[x, (x,)]), "own": Movable()}
    moved = to_device(batch, meta)
    assert type(moved["pair"]) is Pair
    assert moved["pair"].y == 1
    assert type(moved["record"]) is Record
    assert moved["record"].name == "a"
    assert type(moved["user"]) is UserDict
    assert moved["own"] == "moved to meta"
    tensors = [moved["pair"].x, moved["record"].x, moved["user"]["x"][0], moved["user"]["x"][1][0]]
    assert all(t.device == meta for t in tensors)
    assert x.device.type == "cpu"
    assert batch["user"]["x"][0] is x


def test_videos_and_images_are_laid_out_and_trained() -> None:
    class Video(Task):
        def __init__(self) -> None:
            super().__init__()
            self.video, self.image = nn.Conv3d(1, 2, 2), nn.Conv2d(3, 2, 2)

        def train_step(self, batch: Any) -> Iterator[Update]:
            yield Update(loss=self.video(batch).mean())

        def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
            return {"model": torch.optim.SGD(self.parameters(), lr=0.1)}

    task = Video()
    hardware: Hardware = make_hardware()
    hardware.prepare(task)
    assert task.image.weight.is_contiguous(memory_format=torch.channels_last)
    assert task.video.weight.is_contiguous()
    [update] = task.train_step(torch.ones(1, 1, 3, 3, 3))
    update.loss.backward()
