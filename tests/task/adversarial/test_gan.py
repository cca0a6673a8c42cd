"""The adversarial task: its updates against a loop by hand, exact resume, its samples."""

import copy
import signal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.errors import ConfigError
from aiexp.model.adversarial.dcgan import DCGAN
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.adversarial.gan import GAN
from aiexp.task.adversarial.gan_loss import discriminator_loss
from aiexp.task.adversarial.sample_quality import SampleQuality
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.selection import Selection
from aiexp.trainer.stepper import Stepper
from tests.endings import die_at, digest
from tests.forks import in_fork
from tests.task.images import stripes
from tests.toys import NO_AVERAGE, Points, make_hardware, make_trainer, new_run

LATENT = 6
LOSSES = ["non_saturating", "lsgan", "wgan_gp"]
STEPS = 12
UPDATES = {"non_saturating": 1, "lsgan": 1, "wgan_gp": 2}  # of the discriminator for each of the generator


def make_model(loss: str) -> DCGAN:
    seed_everything(0)
    norm: Any = "layer" if loss == "wgan_gp" else "batch"
    return DCGAN(image_size=16, channels=1, latent_size=LATENT, base_channels=4, discriminator_norm=norm)


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=2e-3, betas=(0.5, 0.999))


def make(loss: str = "non_saturating", **changes: Any) -> tuple[GAN, ImageDataset]:
    dataset = stripes(num=40, image_size=16, batch_size=8)
    settings: dict[str, Any] = {
        "optimizers": {"generator": adam, "discriminator": adam},
        "loss": loss,
        "label_smoothing": 0.0,
        "gradient_penalty": None,
        "num_discriminator_updates": None,
        "ema_decay": 0.0,
        "quality": SampleQuality(classifier=None, num_samples=20, inception_fid=False),
    }
    return GAN(model=make_model(loss), dataset=dataset, **(settings | changes)), dataset


def make_stepper(task: GAN, **changes: Any) -> Stepper:
    schedule = Schedule(shape="constant", warmup=0.0, hold=0.0, final=0.0)
    return Stepper(task, make_hardware(**changes), schedule=schedule, total_steps=100, clip=None)


def train(task: GAN, dataset: Any, steps: int, start: int = 0) -> None:
    """As the trainer does it, without one."""
    stepper = make_stepper(task)
    for number, batch in enumerate(islice(task.batches(dataset, start), steps), 1):
        stepper.step(number, [batch])


def by_hand(loss: str, steps: int, average: float) -> tuple[DCGAN, dict[str, Tensor]]:
    """The same training in plain PyTorch."""
    model = make_model(loss)
    generator, discriminator = model.generator, model.discriminator
    generator_optimizer = adam(generator.parameters())
    discriminator_optimizer = adam(discriminator.parameters())
    averaged = copy.deepcopy(generator.state_dict())
    batches = stripes(num=40, image_size=16, batch_size=8).train_batches(0)
    for step in range(1, steps + 1):
        for _ in range(UPDATES[loss]):
            real = next(batches)["images"].float() / 127.5 - 1
            fake = generator(torch.randn(len(real), LATENT))
            on_real, on_fake = discriminator(real), discriminator(fake.detach())
            if loss == "non_saturating":
                total = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
            elif loss == "lsgan":
                ones, zeros = torch.ones_like(on_real), torch.zeros_like(on_fake)
                total = (F.mse_loss(on_real, ones) + F.mse_loss(on_fake, zeros)) / 2
            else:
                between = torch.lerp(real, fake.detach(), torch.rand(len(real), 1, 1, 1)).requires_grad_()
                (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
                penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
                total = on_fake.mean() - on_real.mean() + 10 * penalty
            discriminator_optimizer.zero_grad()
            total.backward()
            discriminator_optimizer.step()
        scores = discriminator(fake)
        if loss == "non_saturating":
            total = F.softplus(-scores).mean()
        elif loss == "lsgan":
            total = F.mse_loss(scores, torch.ones_like(scores)) / 2
        else:
            total = -scores.mean()
        generator_optimizer.zero_grad()
        total.backward()
        generator_optimizer.step()
        for name, value in generator.state_dict().items():
            if value.is_floating_point():
                averaged[name] = torch.lerp(averaged[name], value, 1 - min(average, (1 + step) / (10 + step)))
            else:
                averaged[name] = value.clone()
    return model, averaged


@pytest.mark.parametrize("loss", LOSSES)
def test_50_steps_equal_a_loop_by_hand_bit_for_bit(loss: str) -> None:
    task, dataset = make(loss, ema_decay=0.9, num_discriminator_updates=UPDATES[loss])
    train(task, dataset, 50)
    model, averaged = by_hand(loss, 50, 0.9)
    expected, found = model.state_dict(), task.state_dict()
    assert expected.keys() <= found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert task.averaged is not None
    means = task.averaged.network.state_dict()
    assert [name for name in averaged if not torch.equal(averaged[name], means[name])] == []
    first = make_model(loss).state_dict()
    assert all(not torch.equal(first[n], found[n]) for n in first if n.endswith("weight")), "all have learned"


def test_the_discriminator_is_updated_first_and_the_generator_sees_that() -> None:
    task, dataset = make()
    updates = task.train_step(next(task.batches(dataset, 0)))
    optimizers = task.make_optimizers()
    first = next(updates)
    assert first.optimizer == "discriminator"
    before = [p.clone() for p in task.discriminator.parameters()]
    first.loss.backward(inputs=list(task.discriminator.parameters()))
    optimizers["discriminator"].step()
    assert not torch.equal(before[0], next(task.discriminator.parameters()))
    assert all(p.grad is None for p in task.generator.parameters()), "the fakes are detached"
    second = next(updates)
    assert second.optimizer == "generator"
    state = copy.deepcopy(task.discriminator)
    second.loss.backward(inputs=list(task.generator.parameters()))
    assert all(p.grad is not None and p.grad.any() for p in task.generator.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(state.parameters(), task.discriminator.parameters(), strict=True)
    )
    assert next(updates, None) is None


@pytest.mark.parametrize("loss", LOSSES)
def test_learns_in_bf16_too(loss: str) -> None:
    """The discriminator learns to tell stripes from a generator that stands still."""
    freeze = {"generator": lambda p: torch.optim.SGD(p, lr=0.0), "discriminator": adam}
    task, dataset = make(loss, optimizers=freeze)
    steps = 20 // task.num_discriminator_updates + 2
    stepper = make_stepper(task, precision="bf16")
    for number, batch in enumerate(islice(task.batches(dataset, 0), steps), 1):
        if number == steps - 1:
            stepper.take_metrics()
        stepper.step(number, [batch])
    metrics = stepper.take_metrics()
    assert metrics["train/real_score"] > metrics["train/fake_score"] + 0.5
    assert ("train/gradient_penalty" in metrics) == (loss == "wgan_gp")
    if loss == "wgan_gp":
        assert metrics["train/gradient_penalty"] < 0.5, "the slope is held near 1"


def test_the_generator_learns_one_image() -> None:
    """Overfits: where all real images are one, the samples become that image."""
    task, dataset = make()
    images = dataset.images("train")
    images[:] = images[0]
    noise = torch.randn(20, LATENT)

    def error() -> float:
        task.eval()
        with torch.inference_mode():
            return (task.generate(noise).float() - images[0].float()).abs().mean().item()

    before = error()
    task.train()
    train(task, dataset, 120)
    assert error() < before / 2


def test_one_sided_label_smoothing() -> None:
    real, fake = torch.randn(9, 1), torch.randn(9, 1)
    for smoothing in (0.0, 0.1):
        targets = torch.full_like(real, 1 - smoothing)
        expected = F.binary_cross_entropy_with_logits(real, targets)
        expected += F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        found = discriminator_loss("non_saturating", real, fake, smoothing)
        assert torch.allclose(found, expected, atol=1e-6)
        expected = (F.mse_loss(real, targets) + fake.square().mean()) / 2
        assert torch.allclose(discriminator_loss("lsgan", real, fake, smoothing), expected)


def test_each_discriminator_update_has_a_batch_of_its_own_that_is_a_function_of_the_step() -> None:
    task, dataset = make("wgan_gp", num_discriminator_updates=3)
    plain = [b["index"] for b in islice(dataset.train_batches(0), 12)]
    grouped = [b["index"] for step in islice(task.batches(dataset, 0), 4) for b in step]
    assert all(torch.equal(a, b) for a, b in zip(plain, grouped, strict=True))
    resumed = next(task.batches(dataset, 3))
    assert [b["index"].tolist() for b in resumed] == [b.tolist() for b in plain[9:12]]
    names = [update.optimizer for update in task.train_step(resumed)]
    assert names == ["discriminator"] * 3 + ["generator"]


def test_wgan_gp_has_the_paper_s_settings() -> None:
    task, _ = make("wgan_gp")
    assert (task.num_discriminator_updates, task.penalty) == (5, 10.0)
    task, _ = make()
    assert (task.num_discriminator_updates, task.penalty) == (1, 0.0)


def run_to_the_end(directory: RunDirectory, loss: str) -> None:
    hardware = make_hardware()
    with Session(directory, directory.read_config()) as session:
        seed_everything(0)
        task, dataset = make(loss, ema_decay=0.8, num_discriminator_updates=UPDATES[loss])
        selection = Selection(monitor=None, mode="max", patience=None, average=NO_AVERAGE)
        trainer = make_trainer(steps=STEPS, selection=selection)
        session.finish(trainer.fit(task, dataset, hardware, session))


@pytest.mark.parametrize("loss", ["non_saturating", pytest.param("wgan_gp", marks=pytest.mark.slow)])
def test_killed_and_resumed_it_ends_in_the_same_bytes(tmp_path: Path, loss: str) -> None:
    whole = new_run(tmp_path, "whole")
    run_to_the_end(whole, loss)
    for step in (5, 9):
        directory = new_run(tmp_path, f"killed-{step}")

        def killed(step: int = step, directory: RunDirectory = directory) -> None:
            die_at(step)
            run_to_the_end(directory, loss)

        assert in_fork(killed, tmp_path).code == -signal.SIGKILL
        ended = in_fork(lambda d=directory: run_to_the_end(d, loss), tmp_path)
        assert ended.code == 0, ended.stderr
        assert digest(directory) == digest(whole), f"killed at step {step}"
    pictures = sorted(p.name for p in (whole.path / "figures/eval").iterdir())
    assert pictures == [f"samples_step-{step:08d}.png" for step in (4, 8, 12)]
    assert (whole.path / f"figures/test/samples_step-{STEPS:08d}.png").read_bytes().startswith(b"\x89PNG")


def test_samples_are_a_function_of_the_weights_alone() -> None:
    task, dataset = make()
    task.eval()
    with torch.inference_mode():
        first = task.evaluate(dataset, "eval").pictures["samples"]
        torch.randn(7)
        assert task.evaluate(dataset, "eval").pictures["samples"] == first
    other, _ = make("lsgan")
    assert torch.equal(other.grid_noise, task.grid_noise)
    assert "grid_noise" in task.state_dict()


def test_evaluation_draws_nothing() -> None:
    task, dataset = make()
    before = torch.get_rng_state()
    task.evaluate(dataset, "eval")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_average_makes_the_samples() -> None:
    task, dataset = make(ema_decay=0.9)
    train(task, dataset, 10)
    task.eval()
    assert task.averaged is not None
    noise = torch.randn(4, LATENT)
    with torch.inference_mode():
        expected = ((task.averaged(noise) + 1) * 127.5).round().byte()
        assert torch.equal(task.generate(noise), expected)
        assert not torch.equal(((task.generator(noise) + 1) * 127.5).round().byte(), expected)
    assert not any(p.requires_grad for p in task.averaged.parameters())


def test_images_of_another_size_or_kind() -> None:
    settings: dict[str, Any] = {
        "optimizers": {"generator": adam, "discriminator": adam}, "loss": "lsgan", "label_smoothing": 0.0,
        "gradient_penalty": None, "num_discriminator_updates": None, "ema_decay": 0.0,
        "quality": SampleQuality(classifier=None, num_samples=20, inception_fid=False),
    }  # fmt: skip
    with pytest.raises(ConfigError, match="images are 3x16x16, the model makes 1x16x16"):
        GAN(model=make_model("lsgan"), dataset=stripes(image_size=16, channels=3), **settings)
    with pytest.raises(ConfigError, match="a batch holds x, y: this task needs images"):
        GAN(model=make_model("lsgan"), dataset=Points(), **settings)


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"gradient_penalty": 1.0}, "model", "per example"),
        ({"optimizers": {"generator": adam}}, "optimizers", "generator"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        make(**changes)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"gradient_penalty": 0.0}, "gradient_penalty"),
        ({"label_smoothing": 0.1}, "label_smoothing"),
    ],
)
def test_wrong_settings_of_wgan_gp(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("wgan_gp", **changes)
    assert caught.value.where == where
