"""Generative adversarial networks: a generator learns to make images that a discriminator takes for real."""

from collections.abc import Iterator
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, ImageData
from aiexp.dataset.recalled import is_recalled
from aiexp.errors import ConfigError
from aiexp.prediction.network import Network, Port
from aiexp.prediction.prediction import Prediction
from aiexp.prediction.seeds import Seeds
from aiexp.ranges import NonNegativeFloat, PositiveInt, Share
from aiexp.task.adversarial.gan_loss import Loss, discriminator_loss, generator_loss, gradient_penalty
from aiexp.task.adversarial.moving_average import MovingAverage
from aiexp.task.adversarial.sample_quality import SampleQuality
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.picture_grid import picture_grid, pngs
from aiexp.task.report import Better, Evaluation

# Tensor letters: B batch, N images, Z latent size, C channels, H height, W width.

SAMPLES = 16  # of a prediction, unless more are asked for
GRID = 10  # columns and rows of the picture of samples
FOLLOWED = 6  # samples that a run shows the growth of
GENERATED_AT_ONCE = 500
BETTER: dict[str, Better] = {"classes_covered": "max", "feature_distance": "min"}
NOISE_SEED, GRID_SEED = 1, 0


class AdversarialModel(Protocol):
    """What this task needs of a model: `model.adversarial.dcgan.DCGAN` or any other with these members."""

    image_size: int
    channels: int
    latent_size: int
    discriminator_norm: str
    generator: nn.Module  # (B, Z) noise to (B, C, H, W) images in [-1, 1]
    discriminator: nn.Module  # such images to (B, 1) logits


@final
class GAN(Task):
    """Trains a generator against a discriminator: in each step first the discriminator, then the generator.

    Source: Radford et al. 2015 (arXiv 1511.06434); the losses: gan_loss.py. Real and generated
    images pass the discriminator in batches of their own, since batch norm would otherwise mix them.
    Departures: the generator learns on the images that the discriminator has just been shown, judged anew
    by the updated discriminator, instead of on fresh ones (one pass of the generator less).

    Logs: train/loss/discriminator, train/loss/generator, train/real_score and train/fake_score (mean output
    of the discriminator), train/gradient_penalty (without its weight); eval/ and test/: a picture of samples,
    and what `SampleQuality` measures.

    Args:
        model: Generator and discriminator; see `AdversarialModel`.
        dataset: Images; only their pixels are used for training.
        optimizers: "generator" and "discriminator", each makes an optimizer from parameters.
        loss: "non_saturating", "lsgan" or "wgan_gp".
        label_smoothing: Taken off the target 1 of real images, in [0, 1); wgan_gp has no target.
        gradient_penalty: Weight of the penalty on the discriminator's slope; None: 10 for wgan_gp, else 0.
        num_discriminator_updates: Per generator update, each on a batch of its own; None: 5 for wgan_gp,
            else 1. An epoch counts one batch a step, whatever their number.
        ema_decay: Factor on the past in the moving average of the generator that makes the samples; 0: none.
        quality: Measures the samples.

    Raises:
        ConfigError: the values do not fit each other.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: AdversarialModel,
        dataset: ImageData,
        optimizers: dict[str, OptimizerFactory],
        loss: Loss,
        label_smoothing: Share,
        gradient_penalty: NonNegativeFloat | None,
        num_discriminator_updates: PositiveInt | None,
        ema_decay: Share,
        quality: SampleQuality,
    ) -> None:
        super().__init__()
        is_wasserstein = loss == "wgan_gp"
        self.loss: Loss = loss
        self.label_smoothing, self.optimizers = label_smoothing, optimizers
        self.penalty = (10.0 if is_wasserstein else 0.0) if gradient_penalty is None else gradient_penalty
        self.num_discriminator_updates = (
            (5 if is_wasserstein else 1) if num_discriminator_updates is None else num_discriminator_updates
        )
        # Children of the task, so that `hardware.compile` reaches each.
        self.generator: nn.Module = model.generator
        self.discriminator: nn.Module = model.discriminator
        self.latent_size: int = model.latent_size
        self._check(model.discriminator_norm)
        self.averaged = MovingAverage(model.generator, ema_decay) if ema_decay else None
        grid_noise = draw_noise(GRID**2, model.latent_size, GRID_SEED)
        self.grid_noise: Tensor
        self.register_buffer("grid_noise", grid_noise)
        self.quality = quality
        if not is_recalled(dataset):
            check_images(model, dataset)
            quality.prepare(dataset)

    def _check(self, discriminator_norm: str) -> None:
        """Raises `ConfigError` for values that do not fit each other."""
        if self.optimizers.keys() != {"generator", "discriminator"}:
            raise ConfigError(
                f"optimizers are {', '.join(self.optimizers)}", where="optimizers",
                fix="one called generator and one called discriminator",
            )  # fmt: skip
        if self.loss == "wgan_gp" and not self.penalty:
            raise ConfigError(
                "wgan_gp without a gradient penalty is not bounded", where="gradient_penalty",
                fix="gradient_penalty=10",
            )  # fmt: skip
        if self.loss == "wgan_gp" and self.label_smoothing:
            raise ConfigError(
                "wgan_gp has no labels to smooth", where="label_smoothing", fix="label_smoothing=0"
            )
        if self.penalty and discriminator_norm == "batch":
            raise ConfigError(
                "a gradient penalty is per example, and batch norm mixes the examples of a batch",
                where="model", fix="model.discriminator_norm=layer",
            )  # fmt: skip

    def batches(self, dataset: Dataset, start: int) -> Iterator[tuple[dict[str, Tensor], ...]]:
        """As many batches a step as the discriminator has updates."""
        batches = dataset.train_batches(start * self.num_discriminator_updates)
        while True:
            yield tuple(next(batches) for _ in range(self.num_discriminator_updates))

    def train_step(self, batch: tuple[dict[str, Tensor], ...]) -> Iterator[Update]:
        """The discriminator's updates, each on real images of its own, then the generator's."""
        *earlier, last = (scale_pixels(part["images"]) for part in batch)
        for real in earlier:
            with torch.no_grad():
                fake = self.draw_fakes(len(real))
            yield self.judge(real, fake)
        # The last fakes keep their graph: it leads through the generator alone, which nothing changes until
        # its own update.
        fake = self.draw_fakes(len(last))
        yield self.judge(last, fake.detach())
        fake_scores = self.discriminator(fake).float()
        yield Update(
            loss=generator_loss(self.loss, fake_scores), optimizer="generator", weight=len(fake_scores)
        )

    def draw_fakes(self, count: int) -> Tensor:
        """(B, C, H, W) float images in [-1, 1] from new noise, which is drawn from torch's own generator."""
        return self.generator(torch.randn(count, self.latent_size, device=self.device))

    def judge(self, real: Tensor, fake: Tensor) -> Update:
        """The discriminator's update on real and generated images, each (B, C, H, W) float in [-1, 1]."""
        real_scores, fake_scores = self.discriminator(real).float(), self.discriminator(fake).float()
        loss = discriminator_loss(self.loss, real_scores, fake_scores, self.label_smoothing)
        metrics: dict[str, Tensor | float] = {
            "real_score": real_scores.detach().mean(),
            "fake_score": fake_scores.detach().mean(),
        }
        if self.penalty:
            penalty = gradient_penalty(self.discriminator, real, fake)
            loss = loss + self.penalty * penalty
            metrics["gradient_penalty"] = penalty.detach()
        # A step's batches may be of different sizes, and ranks weigh by that of the first.
        return Update(loss=loss, optimizer="discriminator", metrics=metrics, weight=len(real))

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One for each network; each step of the generator's also moves the average."""
        optimizers = {name: make(getattr(self, name).parameters()) for name, make in self.optimizers.items()}
        if self.averaged is not None:
            optimizers["generator"].register_step_post_hook(self.move_average)
        return optimizers

    def move_average(self, *_: object) -> None:
        """Moves the averaged generator, if any, towards the trained one."""
        if self.averaged is not None:
            self.averaged.update(self.generator)

    def generate(self, noise: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images on the CPU from (N, Z) noise, by the averaged generator if any."""
        parts = [self.best_generator(z.to(self.device)) for z in noise.split(GENERATED_AT_ONCE)]
        return torch.cat([((p.float() + 1) * 127.5).round().clamp(0, 255).byte().cpu() for p in parts])

    @property
    def best_generator(self) -> nn.Module:
        """The averaged generator if there is one, else the trained one."""
        return self.averaged if self.averaged is not None else self.generator

    def inputs(self) -> Seeds:
        """Seeds of noise."""
        return Seeds(SAMPLES)

    def predict(self, batch: list[int]) -> list[Prediction]:
        """An image of each seed, always the same for it."""
        noise = torch.cat([draw_noise(1, self.latent_size, seed) for seed in batch])
        return [
            Prediction(line=f"sample {seed}", values={"seed": seed}, pictures={"sample": picture})
            for seed, picture in zip(batch, pngs(self.generate(noise)), strict=True)
        ]

    def networks(self) -> dict[str, Network]:
        """The generator that makes the samples."""
        noise = Port(sizes=("batch", self.latent_size))
        text = "images (batch, channels, height, width) in [-1, 1] from noise of N(0, 1)"
        return {
            "generator": Network(
                module=self.best_generator, inputs={"noise": noise}, outputs=("images",), text=text
            )
        }

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """A picture of samples, always from the same noise, and the quality of other samples."""
        metrics = self.quality.measure(
            lambda count: self.generate(draw_noise(count, self.latent_size, NOISE_SEED)),
            dataset,
            split,
            self.device,
            report=report,
        )
        samples = picture_grid(self.generate(self.grid_noise), GRID, None, followed=range(FOLLOWED))
        return Evaluation(metrics=metrics, better=BETTER, pictures={"samples": samples})

    def describe(self) -> dict[str, Any]:
        """Which classifier judges the samples: distances are comparable only with the same one."""
        return self.quality.describe()


def check_images(model: AdversarialModel, dataset: Dataset) -> None:
    """Raises `ConfigError` unless the data set has images of the size that the model makes."""
    batch = next(dataset.train_batches(0))
    if "images" not in batch:
        raise ConfigError(
            f"a batch holds {', '.join(batch)}: this task needs images of one kind", where="dataset",
            fix="dataset=mnist, fashion_mnist, cifar10 or image_folder",
        )  # fmt: skip
    found, made = batch["images"].shape[1:], (model.channels, model.image_size, model.image_size)
    if tuple(found) != made:
        raise ConfigError(
            f"the images are {'x'.join(map(str, found))}, the model makes {'x'.join(map(str, made))}",
            where="model", fix="leave model.image_size and model.channels to the data set",
        )  # fmt: skip


def draw_noise(count: int, latent_size: int, seed: int) -> Tensor:
    """(N, Z) float32 from N(0, 1), always the same for a seed; training's random numbers are left alone."""
    return torch.randn(count, latent_size, generator=torch.Generator().manual_seed(seed))


def scale_pixels(images: Tensor) -> Tensor:
    """(B, C, H, W) uint8 to float32 in [-1, 1], channels last in memory as the networks have them."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
