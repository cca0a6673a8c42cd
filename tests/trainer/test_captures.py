"""Steps as CUDA graphs, with a stand-in that computes a step again; tests/hardware has real ones."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError, DivergedError
from aiexp.task.base import Task, Update
from aiexp.trainer.captures import Captures, layout_of
from aiexp.trainer.finiteness import Later
from aiexp.trainer.stepper import Stepper
from aiexp.trainer.window import Window
from tests.toys import FUSED, Points, check_a_loss_that_is_not_finite, make_hardware, make_trainer, weights


class Pure(Task):
    """What a graph may record: two optimizers, a metric, an average that follows the weights."""

    capturable = True

    def __init__(self) -> None:
        super().__init__()
        self.model, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

    def train_step(self, batch: Any) -> Iterator[Update]:
        logits = self.model(batch["x"])
        loss = F.cross_entropy(logits, batch["y"])
        yield Update(loss=loss, metrics={"accuracy": (logits.argmax(1) == batch["y"]).float().mean()})
        yield Update(loss=(self.other(batch["x"]) - logits.detach()).square().mean(), optimizer="other")

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": FUSED(self.model.parameters()), "other": FUSED(self.other.parameters())}


class Again:
    """A graph's stand-in."""

    def __init__(self, step: Callable[[], Tensor], outputs: Tensor) -> None:
        self.step, self.outputs, self.replays = step, outputs, 0

    def replay(self) -> None:
        self.replays += 1
        self.outputs.copy_(self.step())


def make(task: Task, *, is_recorded: bool) -> tuple[Stepper, list[Again]]:
    """A stepper that reads nothing before the line, as on a GPU."""
    stepper = Stepper(task, make_hardware(), schedule=make_trainer().schedule, total_steps=20, clip=1.0)
    stepper.metrics = Window(task, is_deferred=True)
    stepper.finiteness = later = Later(stepper.world, torch.device("cpu"), is_scaled=False)
    graphs: list[Again] = []

    def record(step: Callable[[], Tensor]) -> tuple[Again, Tensor]:
        """Leaves no trace, as recording does not."""
        held = [task, *stepper.optimizers.values()]
        before = [copy.deepcopy(each.state_dict()) for each in held]
        outputs = step()
        for each, state in zip(held, before, strict=True):
            each.load_state_dict(state)
        graphs.append(Again(step, outputs))
        return graphs[-1], outputs

    if is_recorded:
        stepper.captures = Captures(
            task, stepper._compute, metrics=stepper.metrics, finiteness=later, optimizers=stepper.optimizers,
            device=torch.device("cpu"), record=record,
        )  # fmt: skip
    return stepper, graphs


def train(task: Task, count: int, *, is_recorded: bool) -> tuple[Stepper, list[Again]]:
    stepper, graphs = make(task, is_recorded=is_recorded)
    # 10 examples in batches of 4: every third batch has 2
    for number, batch in zip(range(1, count + 1), Points(10).train_batches(0), strict=False):
        stepper.step(number, [batch])
    return stepper, graphs


def test_replayed_steps_are_those_that_were_recorded() -> None:
    ends: list[Any] = []
    for is_recorded in (False, True):
        torch.manual_seed(0)
        task = Pure()
        stepper, graphs = train(task, 14, is_recorded=is_recorded)
        ends.append((weights(task), stepper.take_metrics(), stepper.state()["optimizers"]))
        if is_recorded:  # of ten whole batches the first two are computed as ever, of four halves as well
            assert [graph.replays for graph in graphs] == [8, 2]
    torch.testing.assert_close(ends[1][0], ends[0][0])
    assert ends[1][1] == pytest.approx(ends[0][1], rel=1e-6)
    assert ends[1][2]["model"]["param_groups"] == ends[0][2]["model"]["param_groups"]


@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.parametrize("is_clipped", [False, True])
def test_a_loss_that_is_not_finite_changes_no_weight_and_the_line_names_its_step(
    is_recorded: bool, is_clipped: bool
) -> None:
    task = Pure()
    stepper, _ = make(task, is_recorded=is_recorded)
    stepper.clip = 1.0 if is_clipped else None
    check_a_loss_that_is_not_finite(stepper, task)


def test_a_gradient_that_is_not_finite_is_not_applied_either() -> None:
    class Rooted(Pure):
        def train_step(self, batch: Any) -> Iterator[Update]:
            yield Update(loss=(self.model(batch["x"]).sum() * batch["scale"]).abs().sqrt())

        def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
            return {"model": FUSED(self.parameters())}

    task = Rooted()
    stepper, _ = make(task, is_recorded=False)
    stepper.clip = None
    batches = Points().train_batches(0)
    stepper.step(1, [next(batches) | {"scale": torch.tensor(1.0)}])
    before = weights(task)
    stepper.step(2, [next(batches) | {"scale": torch.tensor(0.0)}])  # sqrt has no gradient at 0
    assert torch.equal(weights(task), before)
    with pytest.raises(DivergedError, match="gradient of 'model' is not finite at step 2"):
        stepper.check_weights(2)


def test_an_optimizer_that_cannot_be_told_ends_the_run_at_once_and_records_nothing() -> None:
    class Plain(Pure):
        def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
            return {
                name: torch.optim.SGD(getattr(self, name).parameters(), lr=0.1) for name in ("model", "other")
            }

    task = Plain()
    stepper, graphs = make(task, is_recorded=True)
    batches = Points(8).train_batches(0)
    for number in range(1, 6):
        stepper.step(number, [next(batches)])
    assert not graphs
    before, bad = weights(task), next(batches)
    with pytest.raises(DivergedError, match="loss 'model' is nan at step 6"):
        stepper.step(6, [bad | {"x": bad["x"] * float("nan")}])
    assert torch.equal(weights(task), before)


def test_a_python_number_as_metric_of_a_recorded_step_is_refused() -> None:
    class Counting(Pure):
        def train_step(self, batch: Any) -> Iterator[Update]:
            for update in super().train_step(batch):
                yield Update(loss=update.loss, optimizer=update.optimizer, metrics={"rows": 4.0})

    with pytest.raises(ConfigError, match=r"Python number 4\.0 as metric 'rows'") as caught:
        train(Counting(), 14, is_recorded=True)
    assert caught.value.fix is not None
    assert "hardware.cuda_graphs=false" in caught.value.fix
    train(Counting(), 14, is_recorded=False)


def test_a_task_that_does_not_say_so_is_not_recorded() -> None:
    class Silent(Pure):
        capturable = False

    assert not train(Silent(), 14, is_recorded=True)[1]


@pytest.mark.parametrize(
    ("first", "second", "is_alike"),
    [
        ({"x": torch.zeros(2, 3)}, {"x": torch.ones(2, 3)}, True),
        ({"x": torch.zeros(2, 3)}, {"x": torch.zeros(3, 2)}, False),
        ({"x": torch.zeros(2, 3)}, {"y": torch.zeros(2, 3)}, False),
        ({"x": torch.zeros(2, 3)}, {"x": torch.zeros(2, 3).double()}, False),
        ({"x": torch.zeros(2, 3)}, {"x": torch.zeros(3, 2).t()}, False),
        ([torch.zeros(2), 1], [torch.zeros(2), 1], True),
        ([torch.zeros(2), 1], [torch.zeros(2), 2], False),
        ([torch.zeros(2)], (torch.zeros(2),), False),
    ],
)
def test_batches_of_one_layout_are_those_that_a_graph_can_be_fed(
    first: Any, second: Any, is_alike: bool
) -> None:
    layouts = [layout_of(each, []) for each in (first, second)]
    assert (layouts[0] == layouts[1]) == is_alike
    assert None not in layouts


def test_a_batch_of_objects_has_no_layout() -> None:
    assert layout_of({"x": torch.zeros(2), "packed": object()}, []) is None
