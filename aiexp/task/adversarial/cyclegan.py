"""Translation between two kinds of images without pairs: CycleGAN."""

from collections.abc import Iterator
from typing import Any, Protocol, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, UnpairedData
from aiexp.errors import ConfigError
from aiexp.prediction.network import Network
from aiexp.prediction.pictures import DIRECTIONS, TranslatedPictures
from aiexp.prediction.prediction import Prediction
from aiexp.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Share
from aiexp.task.adversarial.image_pool import ImagePool
from aiexp.task.adversarial.moving_average import MovingAverage
from aiexp.task.adversarial.translation_report import Translations, better_distances, joined, mean_distances
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.picture_grid import pngs
from aiexp.task.report import Evaluation
from aiexp.world.world import World

# Tensor letters: B batch, C channels, H height, W width.


class Networks(Protocol):
    """What this task needs of a model; images (B, C, H, W) in [-1, 1]."""

    generator_ab: nn.Module
    generator_ba: nn.Module
    discriminator_a: nn.Module
    discriminator_b: nn.Module


class ImageAugmentation(Protocol):
    """Changes images as their seeds say."""

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Images (B, C, H, W) uint8 and seeds (B,) int64 to images."""
        ...


@final
class CycleGAN(Task):
    """Two generators that undo each other, two discriminators that judge what they make.

    Source: Zhu et al. 2017 (arXiv 1703.10593): equations 1 to 3 with the least squares of section 4
    (Mao et al. 2016, arXiv 1611.04076), the identity loss of section 5.2, the pool of section 4.
    The generators are updated first, as in the authors' code.
    Departures: none in the losses; the preset for emoji weighs them otherwise. A moving average of the
    generators is evaluated (`ema_decay`). What a generator makes of both sides (translation and
    identity) comes from one call on a batch of both, and so do the scores of real and generated images:
    instance norm keeps the images of a batch apart. Augmentation is the augmentation of this package,
    not resize and crop.

    Logs: train/loss/generator, train/loss/discriminator; their parts gan_ab, gan_ba, cycle_a, cycle_b,
    identity_a, identity_b (without weights), score_real, score_fake. eval/ and test/: cycle_l1_a, cycle_l1_b
    (mean |F(G(A)) - A|, images in [0, 1]); for aligned data also l1_ab = mean |G(A) - B|, ssim_ab
    (structural similarity), the same for ba, l1_identity and ssim_identity (A itself against B), and the
    margins over these, positive where translating is better than doing nothing: margin_l1_ab, ...;
    margin_min is the smallest of the four.

    Args:
        model: The four networks; see `Networks`.
        dataset: Two sides of images; see `aiexp.dataset.image.unpaired`.
        optimizers: "generator" and "discriminator"; each takes the parameters of both of its kind.
        cycle_weight: Of the cycle losses, against 1 of the adversarial ones.
        identity_weight: Of the identity losses, as a share of cycle_weight; 0 leaves them out.
        pool_size: Generated images kept for each discriminator.
        augmentation: Applied to both sides while training.
        ema_decay: Factor on the past in the moving average of the generators that is evaluated; 0: none.
        num_pictures: Columns of the picture of A, G(A), F(G(A)) and B.

    Raises:
        ConfigError: the optimizers are not those two.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: Networks,
        dataset: UnpairedData,
        optimizers: dict[str, OptimizerFactory],
        cycle_weight: NonNegativeFloat,
        identity_weight: NonNegativeFloat,
        pool_size: NonNegativeInt,
        augmentation: ImageAugmentation,
        ema_decay: Share,
        num_pictures: PositiveInt,
    ) -> None:
        super().__init__()
        if set(optimizers) != {"generator", "discriminator"}:
            raise ConfigError(
                f"optimizers are {sorted(optimizers)}", where="optimizers",
                fix="exactly generator and discriminator",
            )  # fmt: skip
        self.model: Any = model
        # The generators that are evaluated.
        self.averaged_ab = MovingAverage(model.generator_ab, ema_decay) if ema_decay else None
        self.averaged_ba = MovingAverage(model.generator_ba, ema_decay) if ema_decay else None
        self.optimizers, self.augmentation = optimizers, augmentation
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.num_pictures = num_pictures
        self.image_shape = dataset.image_size, dataset.channels
        self.pools = {"a": ImagePool(pool_size), "b": ImagePool(pool_size)}

    def drawn(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with the places in both pools of what will be made of it."""
        return batch | {f"draws_{side}": pool.draws(len(batch[side])) for side, pool in self.pools.items()}

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """Two updates: both generators, then both discriminators on real and pooled images."""
        real_a, real_b = (
            normalized(self.augmentation(batch[side], batch[f"seeds_{side}"])) for side in ("a", "b")
        )
        update, fake_a, fake_b = self.generator_update(real_a, real_b)
        yield update
        pooled_a = self.pools["a"].exchange(fake_a, batch["draws_a"])
        pooled_b = self.pools["b"].exchange(fake_b, batch["draws_b"])
        yield self.discriminator_update(real_a, real_b, pooled_a, pooled_b)

    def generator_update(self, real_a: Tensor, real_b: Tensor) -> tuple[Update, Tensor, Tensor]:
        """The loss of both generators; what they made of the other side: (B, C, H, W) float32 each."""
        networks = self.model
        inputs_a, inputs_b = [real_a], [real_b]
        if self.identity_weight:
            inputs_a, inputs_b = [real_a, real_b], [real_b, real_a]
        fake_b, *same_b = translated(networks.generator_ab, *inputs_a)
        fake_a, *same_a = translated(networks.generator_ba, *inputs_b)
        (cycled_a,) = translated(networks.generator_ba, fake_b)
        (cycled_b,) = translated(networks.generator_ab, fake_a)
        gan_ab = (networks.discriminator_b(fake_b).float() - 1).square().mean()
        gan_ba = (networks.discriminator_a(fake_a).float() - 1).square().mean()
        cycle_a, cycle_b = F.l1_loss(cycled_a, real_a), F.l1_loss(cycled_b, real_b)
        loss = gan_ab + gan_ba + self.cycle_weight * (cycle_a + cycle_b)
        parts = {"gan_ab": gan_ab, "gan_ba": gan_ba, "cycle_a": cycle_a, "cycle_b": cycle_b}
        if self.identity_weight:
            identity_a, identity_b = F.l1_loss(same_a[0], real_a), F.l1_loss(same_b[0], real_b)
            loss = loss + self.cycle_weight * self.identity_weight * (identity_a + identity_b)
            parts |= {"identity_a": identity_a, "identity_b": identity_b}
        metrics: dict[str, Tensor | float] = {name: part.detach() for name, part in parts.items()}
        return Update(loss=loss, optimizer="generator", metrics=metrics), fake_a, fake_b

    def discriminator_update(self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Update:
        """The loss of both discriminators: 1 for real images, 0 for generated ones, half of each."""
        networks = self.model
        real_score_a, fake_score_a = networks.discriminator_a(torch.cat([real_a, fake_a])).float().chunk(2)
        real_score_b, fake_score_b = networks.discriminator_b(torch.cat([real_b, fake_b])).float().chunk(2)
        loss_a = (real_score_a - 1).square().mean() + fake_score_a.square().mean()
        loss_b = (real_score_b - 1).square().mean() + fake_score_b.square().mean()
        metrics: dict[str, Tensor | float] = {
            "score_real": (real_score_a.detach().mean() + real_score_b.detach().mean()) / 2,
            "score_fake": (fake_score_a.detach().mean() + fake_score_b.detach().mean()) / 2,
        }
        return Update(loss=(loss_a + loss_b) / 2, optimizer="discriminator", metrics=metrics)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One over both generators, one over both discriminators."""
        networks = {
            "generator": (self.model.generator_ab, self.model.generator_ba),
            "discriminator": (self.model.discriminator_a, self.model.discriminator_b),
        }
        optimizers = {
            name: self.optimizers[name]([p for network in pair for p in network.parameters()])
            for name, pair in networks.items()
        }
        if self.averaged_ab is not None:
            optimizers["generator"].register_step_post_hook(self.move_averages)
        return optimizers

    def move_averages(self, *_: object) -> None:
        """Moves the averaged generators, if any, towards the trained ones."""
        if self.averaged_ab is not None and self.averaged_ba is not None:
            self.averaged_ab.update(self.model.generator_ab)
            self.averaged_ba.update(self.model.generator_ba)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles each network, which its container does not call."""
        networks = (*self.model.children(), self.averaged_ab, self.averaged_ba)
        for network in (each for each in networks if each is not None):
            network.compile(*args, **kwargs)

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Distances over a split, and pictures of images spread evenly over it."""
        pairs = cast(UnpairedData, dataset)
        is_aligned, last = pairs.aligned, pairs.num_examples(split) - 1
        shown = torch.linspace(0, last, self.num_pictures, dtype=torch.float64).round().long()
        parts: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
        for batch in self.dealt(dataset, split):
            translations = self.translations(self.to_device(batch))
            pictured = translations.chosen(torch.isin(batch["index"], shown))
            parts.append((translations.distances(is_aligned), pictured.tensors()))
        distances, chosen = zip(*self.gathered(parts), strict=True)
        pictures = joined([Translations(**images) for images in chosen]).pictures(is_aligned)
        metrics = mean_distances(list(distances))
        return Evaluation(metrics=metrics, better=better_distances(metrics), pictures=pictures)

    def best_generators(self) -> dict[str, nn.Module]:
        """By direction the averaged generators, or without them the trained ones."""
        generators = [
            self.averaged_ab or self.model.generator_ab,
            self.averaged_ba or self.model.generator_ba,
        ]
        return dict(zip(DIRECTIONS, generators, strict=True))

    def inputs(self) -> TranslatedPictures:
        """Pictures of one kind, and the direction."""
        return TranslatedPictures(*self.image_shape)

    def predict(self, batch: dict[str, Any]) -> list[Prediction]:
        """Each picture as one of the other kind."""
        direction: str = batch["direction"]
        images = Translator(self.best_generators()[direction])(batch["images"])
        return [
            Prediction(line=direction, values={"direction": direction}, pictures={"translation": picture})
            for picture in pngs(images)
        ]

    def networks(self) -> dict[str, Network]:
        """Both generators."""
        text = "images of the other kind (batch, channels, height, width) in [0, 1]"
        return {
            f"generator_{direction}": Network(
                module=Translator(generator), inputs=self.inputs().ports(), outputs=("images",), text=text
            )
            for direction, generator in self.best_generators().items()
        }

    def translations(self, batch: dict[str, Tensor]) -> Translations:
        """Both sides of a batch, there and back again, by the averaged generators if there are any."""
        generator_ab, generator_ba = self.best_generators().values()
        a, b = normalized(batch["a"]), normalized(batch["b"])
        (fake_b,), (fake_a,) = translated(generator_ab, a), translated(generator_ba, b)
        (cycled_a,), (cycled_b,) = translated(generator_ba, fake_b), translated(generator_ab, fake_a)
        a, b, fake_b, fake_a, cycled_a, cycled_b = (
            (images + 1) / 2 for images in (a, b, fake_b, fake_a, cycled_a, cycled_b)
        )
        return Translations(a=a, b=b, fake_b=fake_b, fake_a=fake_a, cycled_a=cycled_a, cycled_b=cycled_b)

    def extra_state(self) -> dict[str, Any]:
        """The images in both pools."""
        return {"pools": {side: pool.state() for side, pool in self.pools.items()}}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restores both pools."""
        for side, images in state["pools"].items():
            self.pools[side].load_state(images, self.device)

    def reshape_state(self, states: list[dict[str, Any]], world: World) -> dict[str, Any]:
        """The pools of one of the ranks: each of them is a sample of what generators made."""
        return states[world.rank % len(states)]


class Translator(nn.Module):
    """A generator from pixels to pixels."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float32 in [0, 1] of uint8."""
        return (self.generator(normalized(images)).float() + 1) / 2


def normalized(images: Tensor) -> Tensor:
    """Images (B, C, H, W) uint8 in [0, 255] as float32 in [-1, 1], channels last."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def translated(generator: nn.Module, *images: Tensor) -> tuple[Tensor, ...]:
    """What a generator makes of each of some batches of one size, in one call; float32 in [-1, 1]."""
    return generator(torch.cat(images)).float().chunk(len(images))
