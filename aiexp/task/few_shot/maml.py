"""Learning an initialisation that adapts in a few steps: MAML, its first-order form, and Reptile."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal, Protocol, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, FewShotData
from aiexp.errors import ConfigError
from aiexp.figure.style import Drawn
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.network import Network, Port
from aiexp.prediction.prediction import SHOWN_DIGITS, Prediction, classified
from aiexp.prediction.support import SupportedNumbers, SupportedPictures
from aiexp.ranges import Length, NonNegativeInt, PositiveFloat, PositiveInt
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.few_shot.adaptation import Adaptation, Parameters
from aiexp.task.few_shot.encoder import beside_support, encoder, image_shape
from aiexp.task.few_shot.report import adaptation_picture, episode_picture, mean_with_interval
from aiexp.task.report import Better, Evaluation, Table

# Tensor letters: M tasks of a batch, K support points, Q query points, S numbers of steps.

# Step sizes from which the baseline takes its best, as factors on the inner one: the paper tunes it too.
BASELINE_LR_FACTORS = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0)
Batch = dict[str, Tensor]


class FewShotModel(Protocol):
    """What these tasks need of a model, which is a module without a last layer."""

    feature_size: int

    def __call__(self, inputs: Tensor) -> Tensor:
        """(B, feature_size) float of a batch of inputs."""
        ...


@final
class MAML(Task):
    """A learner whose parameters are good to start from: a few gradient steps fit a new task.

    Source: Finn et al. 2017 (arXiv 1703.03400): algorithm 2 (maml), section 5.2 (fomaml: the second
    derivatives are left out). Nichol et al. 2018 (arXiv 1803.02999): algorithm 2 (reptile), the batched form
    of section 2 with plain SGD inside.
    Departures: all tasks of a batch are one vmapped computation. Always float32: a gradient step of bf16
    rounds away what it adds. Reptile learns from the support and query points of a task together; its outer
    step is the optimizer's, on the gradient theta - phi. The baseline of section 5.1 learns beside the
    learner from the very same points; its step size in evaluation is the best of six for each number of
    steps, chosen on the tasks evaluated, which favours it.

    Logs: train/loss (query points after adaptation; for reptile half the squared distance that theta moves
    towards), train/accuracy (classes), train/loss/baseline. eval/ and test/ for each number of steps s:
    mse_s and mse_s_interval, with a baseline also baseline_mse_s and ratio_s = mse_s / baseline_mse_s; for
    classes accuracy_s and accuracy_s_interval, and of the last s accuracy, accuracy_interval and loss.
    Intervals are half the width of the 95 % interval over the tasks.

    Args:
        model: Network with `feature_size`, without its last layer, which is added here; it may not carry
            statistics from batch to batch.
        dataset: Batches of tasks; see the room `dataset.few_shot`.
        optimizer: Of the initialisation.
        algorithm: "maml", "fomaml" or "reptile".
        inner_lr: Learning rate of the gradient steps on a task.
        inner_steps: Gradient steps in training.
        inner_points: Points of each of these steps, taken in turn; None for all.
        eval_steps: Numbers of gradient steps after which to evaluate, ascending.
        baseline: Optimizer of a second network that learns all tasks as one; None leaves it out.
        num_pictures: Tasks in the picture of adaptation.

    Raises:
        ConfigError: the values do not fit each other.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: FewShotModel,
        dataset: FewShotData,
        optimizer: OptimizerFactory,
        algorithm: Literal["maml", "fomaml", "reptile"],
        inner_lr: PositiveFloat,
        inner_steps: PositiveInt,
        inner_points: PositiveInt | None,
        eval_steps: Annotated[list[NonNegativeInt], Length(">= 1")],
        baseline: OptimizerFactory | None,
        num_pictures: PositiveInt,
    ) -> None:
        super().__init__()
        self.ways = dataset.ways
        self.image_shape = image_shape(dataset) if self.ways else (0, 0)
        check(eval_steps)
        if baseline is not None and self.ways:
            raise ConfigError(
                "the baseline is one for regression: with classes, every task would teach it other labels",
                where="baseline", fix="baseline=null",
            )  # fmt: skip
        loss = F.cross_entropy if self.ways else F.mse_loss
        self.learner = nn.Sequential(cast(nn.Module, model), nn.Linear(model.feature_size, self.ways or 1))
        check_stateless(self.learner)
        self.baseline = None if baseline is None else copy.deepcopy(self.learner)
        self.adaptation = Adaptation(self.learner, loss, inner_lr)
        self.baseline_adaptation = (
            None if self.baseline is None else Adaptation(self.baseline, loss, inner_lr)
        )
        self.optimizer, self.baseline_optimizer = optimizer, baseline
        self.algorithm: str = algorithm
        self.inner_steps, self.inner_points = inner_steps, inner_points
        self.eval_steps, self.num_pictures = list(eval_steps), num_pictures

    def train_step(self, batch: Batch) -> Iterator[Update]:
        """One update of the initialisation, then one of the baseline if there is one."""
        with self.in_float32():
            is_reptile = self.algorithm == "reptile"
            update = Update(loss=self.reptile_loss(batch)) if is_reptile else self.maml_update(batch)
        yield update
        if self.baseline is None:
            return
        with self.in_float32():
            x, y = (torch.cat([batch[f"{part}_{c}"] for part in ("support", "query")], 1) for c in "xy")
            loss = F.mse_loss(self.baseline(x.flatten(0, 1)), y.flatten(0, 1))
        yield Update(loss=loss, optimizer="baseline")

    def maml_update(self, batch: Batch) -> Update:
        """The mean loss of the query points after adaptation."""
        outputs, loss = self.adapted_loss(batch)
        metrics: dict[str, Tensor | float] = {}
        if self.ways:
            metrics["accuracy"] = (outputs.detach().argmax(-1) == batch["query_y"]).float().mean()
        return Update(loss=loss, metrics=metrics)

    def adapted_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The outputs (M, Q, ...) for the query points after adaptation, and their mean loss ()."""
        support, adaptation = (batch["support_x"], batch["support_y"]), self.adaptation
        if self.algorithm == "maml":
            adapted = adaptation.adapted(*support, self.inner_steps, self.inner_points)
        else:
            constant = adaptation.adapted_first_order(*support, self.inner_steps, self.inner_points)
            adapted = straight_through(adaptation.parameters(), constant)
        outputs = adaptation.outputs(adapted, batch["query_x"])
        return outputs, adaptation.losses(outputs, batch["query_y"]).mean()

    def reptile_loss(self, batch: Batch) -> Tensor:
        """Half the mean squared distance to the adapted parameters: its gradient is theta - mean(phi)."""
        x, y = (torch.cat([batch[f"{part}_{c}"] for part in ("support", "query")], 1) for c in "xy")
        shared = self.adaptation.parameters()
        adapted = self.adaptation.adapted_first_order(x, y, self.inner_steps, self.inner_points)
        distances = [(shared[name] - adapted[name]).square().flatten(1).sum(1) for name in shared]
        return torch.stack(distances).sum(0).mean() / 2

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One for the initialisation, one for the baseline."""
        optimizers = {"model": self.optimizer(self.learner.parameters())}
        if self.baseline is not None and self.baseline_optimizer is not None:
            optimizers["baseline"] = self.baseline_optimizer(self.baseline.parameters())
        return optimizers

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles what differentiates the networks, whole."""
        self.adapted_loss = torch.compile(self.adapted_loss, *args, **kwargs)
        self.reptile_loss = torch.compile(self.reptile_loss, *args, **kwargs)
        if self.baseline is not None:
            self.baseline.compile(*args, **kwargs)

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Every task of a split, adapted from the initialisation."""
        # Adaptation takes gradients, which inference mode forbids.
        with torch.inference_mode(False), torch.no_grad(), self.in_float32():
            batches = [self.to_device(batch) for batch in self.dealt(dataset, split)]
            if self.ways:
                return self.evaluate_classes(batches, report)
            return self.evaluate_regression(batches, report)

    def evaluate_regression(self, batches: list[Batch], report: bool) -> Evaluation:
        """Mean squared errors, beside those of the baseline."""
        errors = self.squared_errors(self.adaptation, batches, None)  # (S, M)
        metrics: dict[str, float] = {}
        for steps, values in zip(self.eval_steps, errors, strict=True):
            metrics |= mean_with_interval(f"mse_{steps}", values)
        rates: list[float] = []
        if self.baseline_adaptation is not None:
            rates, best = self.best_baseline(self.baseline_adaptation, batches)
            for steps, values in zip(self.eval_steps, best, strict=True):
                metrics |= mean_with_interval(f"baseline_mse_{steps}", values)
                metrics[f"ratio_{steps}"] = metrics[f"mse_{steps}"] / metrics[f"baseline_mse_{steps}"]
        better: dict[str, Better] = {f"mse_{steps}": "min" for steps in self.eval_steps}
        if not report:
            return Evaluation(metrics=metrics, better=better)
        drawn = self.picture(batches[0], rates)
        return Evaluation(
            metrics=metrics,
            better=better,
            pictures={"adaptation": drawn.png},
            pdfs={"adaptation": drawn.pdf},
            tables={"adaptation": self.table(metrics, rates)},
        )

    def best_baseline(self, baseline: Adaptation, batches: list[Batch]) -> tuple[list[float], Tensor]:
        """For each number of steps the step size with the lowest mean error, and the errors (S, M)."""
        rates = [self.adaptation.lr * factor for factor in BASELINE_LR_FACTORS]
        errors = torch.stack([self.squared_errors(baseline, batches, rate) for rate in rates])  # (R, S, M)
        best = errors.mean(2).nan_to_num(torch.inf).argmin(0)  # (S,)
        return [rates[i] for i in best.tolist()], errors[best, torch.arange(len(best))]

    def squared_errors(self, adaptation: Adaptation, batches: list[Batch], lr: float | None) -> Tensor:
        """(S, M) mean squared error of the query points of every task."""
        errors: list[Tensor] = []
        for batch in batches:
            outputs = adaptation.outputs_after(
                batch["support_x"], batch["support_y"], batch["query_x"], self.eval_steps, lr
            )  # (S, M, Q, 1)
            errors.append((outputs - batch["query_y"]).square().flatten(2).mean(2).cpu())
        return torch.cat(self.gathered(errors), 1)

    def evaluate_classes(self, batches: list[Batch], report: bool) -> Evaluation:
        """Accuracies after each number of steps; the last is the one without a number."""
        parts: list[tuple[Tensor, Tensor]] = []
        pictures: dict[str, bytes] = {}
        for batch in batches:
            outputs = self.adaptation.outputs_after(
                batch["support_x"], batch["support_y"], batch["query_x"], self.eval_steps
            )  # (S, M, Q, ways)
            hits = (outputs.argmax(-1) == batch["query_y"]).float().mean(2)
            parts.append((hits.cpu(), self.adaptation.losses(outputs[-1], batch["query_y"]).cpu()))
            if report and not pictures:
                pictures["episode"] = episode_picture(batch, outputs[-1, 0].argmax(-1), self.ways)
        hits, losses = zip(*self.gathered(parts), strict=True)
        accuracies = torch.cat(hits, 1)  # (S, M)
        metrics = mean_with_interval("accuracy", accuracies[-1]) | {"loss": torch.cat(losses).mean().item()}
        for steps, values in zip(self.eval_steps, accuracies, strict=True):
            metrics |= mean_with_interval(f"accuracy_{steps}", values)
        better: dict[str, Better] = {f"accuracy_{steps}": "max" for steps in self.eval_steps}
        better |= {"accuracy": "max", "loss": "min"}
        return Evaluation(metrics=metrics, better=better, pictures=pictures)

    def picture(self, batch: Batch, rates: list[float]) -> Drawn:
        """Waves predicted after each number of steps, by the learner and by the baseline at its best."""
        count = min(self.num_pictures, len(batch["support_x"]))
        x = torch.linspace(-5, 5, 201)
        asked = x.to(self.device).expand(count, -1)[..., None]
        support = batch["support_x"][:count], batch["support_y"][:count]
        learned = self.adaptation.outputs_after(*support, asked, self.eval_steps)
        curves = {self.algorithm: (x, self.eval_steps, learned)}
        if self.baseline_adaptation is not None:
            outputs = [
                self.baseline_adaptation.outputs_after(*support, asked, [steps], rate)
                for steps, rate in zip(self.eval_steps, rates, strict=True)
            ]
            curves["pretrained"] = (x, self.eval_steps, torch.cat(outputs))
        return adaptation_picture(batch, curves, count)

    def table(self, metrics: dict[str, float], rates: list[float]) -> Table:
        """One row for each number of steps."""
        names = ["mse", *(["baseline_mse"] if rates else [])]
        columns = ["steps", *(c for name in names for c in (name, f"{name}_interval"))]
        rows: list[list[str | int | float]] = []
        for number, steps in enumerate(self.eval_steps):
            values = [metrics[f"{n}_{steps}{end}"] for n in names for end in ("", "_interval")]
            rows.append([steps, *(round(v, 5) for v in values), *([rates[number]] if rates else [])])
        return Table(columns=[*columns, *(["baseline_lr"] if rates else [])], rows=rows)

    def inputs(self) -> Inputs:
        """Pictures of as many classes as in training, or numbers; a few of them are given."""
        return SupportedPictures(*self.image_shape, ways=self.ways) if self.ways else SupportedNumbers()

    def predict(self, batch: dict[str, Any]) -> list[Prediction]:
        """What the learner says after the last of `eval_steps` on the support.

        Each is asked beside the support alone, so that it does not depend on what else is asked.
        """
        with torch.inference_mode(False), torch.no_grad(), self.in_float32():
            learned = self.adaptation.adapted(batch["support_x"], batch["support_y"], self.eval_steps[-1])
            asked = beside_support(batch)  # (Q, K + 1, ...)
            learned = {name: value.expand(len(asked), *value.shape[1:]) for name, value in learned.items()}
            outputs = self.adaptation.outputs(learned, asked)[:, -1]  # (Q, ways or 1)
        if self.ways:
            return classified(outputs.softmax(1), batch["class_names"])
        return [Prediction(line=f"{y:.{SHOWN_DIGITS}f}", values={"y": y}) for y in outputs[:, 0].tolist()]

    def networks(self) -> dict[str, Network]:
        """The learner before it adapts."""
        if self.ways:
            return {"learner": encoder(self.learner, *self.image_shape)}
        return {
            "learner": Network(
                module=self.learner, inputs={"x": Port(sizes=("batch", 1))}, outputs=("y",), adapts=True
            )
        }

    def in_float32(self) -> AbstractContextManager[Any]:
        """A context without the trainer's lower precision."""
        return torch.autocast(self.device.type, enabled=False)


def straight_through(shared: Parameters, adapted: Parameters) -> Parameters:
    """The values of `adapted` (M, ...), whose derivative by `shared` is one."""
    return {name: adapted[name] + (shared[name] - shared[name].detach()) for name in shared}


def check_stateless(network: nn.Module) -> None:
    """Raises `ConfigError` if a network carries statistics from one batch to the next."""
    buffers = [name for name, _ in network.named_buffers()]
    if buffers:
        raise ConfigError(
            f"the model keeps statistics of batches ({buffers[0]}), which tasks would share", where="model",
            fix="model=conv4 or model=sine_mlp",
        )  # fmt: skip


def check(eval_steps: list[int]) -> None:
    """Raises `ConfigError` unless numbers of steps ascend."""
    if sorted(set(eval_steps)) != list(eval_steps):
        raise ConfigError(
            f"eval_steps is {eval_steps}; numbers of steps ascend", where="eval_steps",
            fix="eval_steps=[0,1,5,10]",
        )  # fmt: skip
