"""The task against a loop written by hand, without a trainer; resume through one."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.image.unpaired import Side, Sides, UnpairedDataset
from aiexp.errors import ConfigError
from aiexp.model.adversarial.cyclegan import CycleGANNetworks
from aiexp.task.adversarial.cyclegan import CycleGAN
from aiexp.task.classification.augmentation import Augmentation
from aiexp.task.picture_grid import picture_grid
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.stepper import Stepper
from tests.toys import make_hardware

SIZE, STEPS = 16, 20
RUN_STEPS = 12  # of the runs that are killed
ADAM = partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999))


def squares(count: int, seed: int, is_red: bool) -> Side:
    """Dark pictures with a bright square at a random place; side B also has red in it."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.full((count, 3, SIZE, SIZE), 30, dtype=torch.uint8)
    for image in images:
        y, x = torch.randint(0, SIZE - 6, (2,), generator=generator).tolist()
        image[1:, y : y + 6, x : x + 6] = 220
        image[0] = 200 if is_red else 20
    return Side(images=images, names=[str(i) for i in range(count)])


def make_dataset(aligned: bool = True, batch_size: int = 1) -> UnpairedDataset:
    splits = {
        "train": Sides(a=squares(9, 0, False), b=squares(7, 1, True)),
        "eval": Sides(a=squares(5, 2, False), b=squares(5, 2, True)),
    }
    return UnpairedDataset(
        splits=splits, aligned=aligned, source="generated", batch_size=batch_size, eval_batch_size=3,
        limit=None, seed=0,
    )  # fmt: skip


def make_networks(base_channels: int = 4) -> CycleGANNetworks:
    return CycleGANNetworks(
        channels=3,
        image_size=SIZE,
        base_channels=base_channels,
        num_blocks=1,
        num_discriminator_layers=2,
        skip=False,
        upsampling="transposed",
    )


def make(**changes: Any) -> CycleGAN:
    seed_everything(0)
    settings: dict[str, Any] = {
        "model": make_networks(),
        "dataset": make_dataset(),
        "optimizers": {"generator": ADAM, "discriminator": ADAM},
        "cycle_weight": 10.0,
        "identity_weight": 0.5,
        "pool_size": 3,
        "augmentation": Augmentation(flip=False, crop=0, cutout=0),
        "ema_decay": 0.5,
        "num_pictures": 4,
    }
    return CycleGAN(**(settings | changes))


def make_stepper(task: CycleGAN, **changes: Any) -> Stepper:
    hardware = make_hardware(**changes)
    hardware.prepare(task)
    schedule = Schedule(shape="linear", warmup=0, hold=0.5, final=0.0)
    return Stepper(task, hardware, schedule=schedule, total_steps=STEPS, clip=None)


class ByHand:
    """The loop of Zhu et al. without anything of ours but the networks; G and F are `ab` and `ba`."""

    def __init__(self, networks: CycleGANNetworks) -> None:
        self.ab, self.ba = networks.generator_ab, networks.generator_ba
        self.judge_a, self.judge_b = networks.discriminator_a, networks.discriminator_b
        self.generators = [*self.ab.parameters(), *self.ba.parameters()]
        self.judges = [*self.judge_a.parameters(), *self.judge_b.parameters()]
        self.optimizers = ADAM(self.generators), ADAM(self.judges)
        self.kept: tuple[list[Tensor], list[Tensor]] = ([], [])

    def step(self, number: int, batch: dict[str, Tensor]) -> tuple[float, float]:
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, 1 - (number - 10) / 10)
        a, b = batch["a"].float() / 127.5 - 1, batch["b"].float() / 127.5 - 1
        a, b = (x.contiguous(memory_format=torch.channels_last) for x in (a, b))
        fake_b, same_b = self.ab(torch.cat([a, b])).chunk(2)
        fake_a, same_a = self.ba(torch.cat([b, a])).chunk(2)
        for p in self.judges:
            p.requires_grad_(False)
        loss = ((self.judge_b(fake_b) - 1) ** 2).mean() + ((self.judge_a(fake_a) - 1) ** 2).mean()
        loss = loss + 10 * (F.l1_loss(self.ba(fake_b), a) + F.l1_loss(self.ab(fake_a), b))
        loss = loss + 10 * 0.5 * (F.l1_loss(same_a, a) + F.l1_loss(same_b, b))
        self.optimizers[0].zero_grad()
        loss.backward()
        self.optimizers[0].step()
        for p in self.judges:
            p.requires_grad_(True)
        old_a, old_b = self.pooled(0, fake_a.detach()), self.pooled(1, fake_b.detach())
        real_a, wrong_a = self.judge_a(torch.cat([a, old_a])).chunk(2)
        real_b, wrong_b = self.judge_b(torch.cat([b, old_b])).chunk(2)
        first = ((real_a - 1) ** 2).mean() + (wrong_a**2).mean()
        judged = (first + (((real_b - 1) ** 2).mean() + (wrong_b**2).mean())) / 2
        self.optimizers[1].zero_grad()
        judged.backward()
        self.optimizers[1].step()
        return loss.item(), judged.item()

    def pooled(self, side: int, fake: Tensor) -> Tensor:
        kept = self.kept[side]
        if len(kept) < 3:
            kept.append(fake)
            return fake
        if torch.rand(()).item() < 0.5:
            return fake
        place = int(torch.randint(3, ()).item())
        kept[place], old = fake, kept[place]
        return old


def test_equals_a_loop_written_by_hand() -> None:
    task, dataset = make(), make_dataset()
    networks = copy.deepcopy(task.model).to(memory_format=torch.channels_last)
    stepper, by_hand = make_stepper(task), ByHand(networks)
    random = torch.get_rng_state()
    batches = [batch for _, batch in zip(range(STEPS), dataset.train_batches(0), strict=False)]
    ours: list[tuple[float, ...]] = []
    for number, batch in enumerate(batches, 1):
        stepper.window = {}
        stepper.step(number, [batch])
        ours.append(tuple(stepper.window[f"loss/{name}"][0] for name in ("generator", "discriminator")))
    drawn = torch.get_rng_state()
    torch.set_rng_state(random)
    theirs = [by_hand.step(number, batch) for number, batch in enumerate(batches, 1)]
    assert ours == theirs
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not torch.equal(random, drawn), "the pools drew nothing"
    for (name, parameter), other in zip(task.model.named_parameters(), networks.parameters(), strict=True):
        assert torch.equal(parameter, other), name
    for side, kept in zip("ab", by_hand.kept, strict=True):
        assert torch.equal(torch.cat(kept), torch.stack(task.pools[side].images))


def test_gradients_of_each_update_stay_with_its_networks() -> None:
    task = make()
    make_hardware().prepare(task)
    optimizers = task.make_optimizers()
    owned = {k: {id(p) for p in o.param_groups[0]["params"]} for k, o in optimizers.items()}
    trained = [p for p in task.parameters() if p.requires_grad]  # the averages are not
    assert len(owned["generator"] | owned["discriminator"]) == len(trained)
    assert not owned["generator"] & owned["discriminator"]
    names = [
        update.optimizer for update in task.train_step(task.drawn(next(make_dataset().train_batches(0))))
    ]
    assert names == ["generator", "discriminator"]
    updates = task.train_step(task.drawn(next(make_dataset().train_batches(0))))
    next(updates)
    next(updates).loss.backward()
    assert {id(p) for p in task.parameters() if p.grad is not None} == owned["discriminator"]


def test_learns_to_translate() -> None:
    """Red must come and go; the squares must stay where they are."""
    task, dataset = make(model=make_networks(8)), make_dataset()
    stepper = make_stepper(task)
    batches = dataset.train_batches(0)
    for number in range(1, 81):
        stepper.step(min(number, 10), [next(batches)])
    with torch.inference_mode():
        metrics = task.eval().evaluate(dataset, "eval").metrics
    assert metrics["l1_identity"] == pytest.approx(180 / 255 / 3, abs=1e-4)
    assert metrics["margin_l1_ab"] > 0.12
    assert metrics["margin_l1_ba"] > 0.12
    assert max(metrics["cycle_l1_a"], metrics["cycle_l1_b"]) < 0.1


class Painter(nn.Module):
    """Adds a constant to an image in [-1, 1]."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(constant))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.constant


def test_evaluation_of_known_translations() -> None:
    task = make(ema_decay=0.0)
    task.model.generator_ab, task.model.generator_ba = Painter(0.2), Painter(-0.1)
    with torch.inference_mode():
        result = task.evaluate(make_dataset(), "eval", report=True)
    # Side A has 20 where B has 200 in red; everything else is equal, and G adds 0.1 of [0, 1], F takes 0.05.
    red, wanted = 180 / 255, {"cycle_l1_a": 0.05, "cycle_l1_b": 0.05}
    wanted |= {"l1_identity": red / 3, "l1_ab": (red - 0.1 + 0.2) / 3, "l1_ba": (red - 0.05 + 0.1) / 3}
    wanted |= {"margin_l1_ab": -0.1 / 3, "margin_l1_ba": -0.05 / 3}
    assert {k: result.metrics[k] for k in wanted} == pytest.approx(wanted, abs=1e-5)
    from skimage.metrics import structural_similarity

    dataset = make_dataset()
    a, b = (dataset.images("eval", side).float().numpy() / 255 for side in ("a", "b"))
    by_hand = [structural_similarity(x, y, channel_axis=0, data_range=1.0) for x, y in zip(a, b, strict=True)]
    assert result.metrics["ssim_identity"] == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)
    shifted = [
        structural_similarity(x + 0.1, y, channel_axis=0, data_range=1.0) for x, y in zip(a, b, strict=True)
    ]
    assert result.metrics["ssim_ab"] == pytest.approx(sum(shifted) / len(shifted), abs=1e-5)
    for direction in ("ab", "ba"):
        margin = result.metrics[f"ssim_{direction}"] - result.metrics["ssim_identity"]
        assert result.metrics[f"margin_ssim_{direction}"] == pytest.approx(margin)
    margins = [result.metrics[f"margin_{kind}_{way}"] for kind in ("l1", "ssim") for way in ("ab", "ba")]
    assert result.metrics["margin_min"] == min(margins)


def test_the_averaged_generators_are_the_ones_evaluated() -> None:
    task = make(ema_decay=0.5)
    assert task.averaged_ab is not None
    assert task.averaged_ba is not None
    task.averaged_ab.network, task.averaged_ba.network = Painter(0.2), Painter(-0.1)
    with torch.inference_mode():
        metrics = task.evaluate(make_dataset(), "eval").metrics
    assert metrics["cycle_l1_a"] == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize(("aligned", "rows"), [(True, 4), (False, 3)])
def test_pictures(aligned: bool, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images spread over the split of 5: the first, the middle one and the last."""
    grids: list[tuple[Tensor, int]] = []
    monkeypatch.setattr(
        "aiexp.task.adversarial.translation_report.picture_grid",
        lambda images, columns, captions, **more: (
            grids.append((images, columns)) or picture_grid(images, columns, captions, **more)
        ),
    )
    task, dataset = make(num_pictures=3), make_dataset(aligned)
    with torch.inference_mode():
        result = task.evaluate(dataset, "eval")
        a, b = (dataset.images("eval", side)[::2].float() / 255 for side in ("a", "b"))
        fake_b = (task.model.generator_ab(a * 2 - 1) + 1) / 2
        cycled_a = (task.model.generator_ba(fake_b * 2 - 1) + 1) / 2
    assert all(png.startswith(b"\x89PNG") for png in result.pictures.values())
    assert list(result.pictures) == ["a_to_b", "b_to_a"]
    (images, columns), (others, _) = grids
    assert (columns, len(images), len(others)) == (3, 3 * rows, 3 * rows)
    expected = torch.cat([a, fake_b, cycled_a, *([b] if aligned else [])])
    torch.testing.assert_close(images, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(others[:3], b, atol=1e-5, rtol=0)
    assert set(result.metrics) >= {"cycle_l1_a", "cycle_l1_b"}
    assert ("l1_ab" in result.metrics) == aligned


def test_weights_of_the_losses() -> None:
    batch = next(make_dataset().train_batches(0))

    def parts(**changes: Any) -> tuple[float, dict[str, float]]:
        update = next(make(**changes).train_step(batch))
        return update.loss.item(), {k: float(v) for k, v in update.metrics.items()}

    loss, of = parts(cycle_weight=3.0, identity_weight=0.25)
    cycle, identity = of["cycle_a"] + of["cycle_b"], of["identity_a"] + of["identity_b"]
    assert loss == pytest.approx(of["gan_ab"] + of["gan_ba"] + 3 * cycle + 0.75 * identity, rel=1e-5)
    loss, without = parts(identity_weight=0.0)
    assert "identity_a" not in without
    assert without["cycle_a"] == pytest.approx(of["cycle_a"], rel=1e-4)
    assert loss == pytest.approx(of["gan_ab"] + of["gan_ba"] + 10 * cycle, rel=1e-4)


def test_augmentation_draws_from_the_seeds_of_each_side() -> None:
    seen: list[list[int]] = []
    batch = next(make_dataset().train_batches(0))
    task = make(augmentation=lambda images, seeds: seen.append(seeds.tolist()) or images)
    next(task.train_step(batch))
    assert seen == [batch["seeds_a"].tolist(), batch["seeds_b"].tolist()]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"optimizers": {"generator": ADAM}}, "optimizers"),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**changes)
    assert caught.value.where == where
    assert "\n" not in caught.value.line()
