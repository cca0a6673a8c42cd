"""Seconds of a training step of `task=cyclegan`: ours, the same written by hand, the stock recipe.

    .venv/bin/python scripts/bench/cyclegan_step.py --json outputs/cyclegan_step.json

Each side is a process of its own, as a user would start it, and the sides take turns in every round. A first
round warms everything up and is not counted; the median over the other rounds is printed, and the median of
ours over the other side in the same round. Saving and logging are off on every side; precision, threads and
the sizes of the networks are those of the shipped config.

- ours: `aiexp run task=cyclegan`.
- by_hand: a plain loop with the same networks, losses, layout (channels last) and calls in the same batches.
- stock: a plain loop with PyTorch's InstanceNorm2d and ReflectionPad2d, where each image passes each network
  in a call of its own, as in the code of the paper's authors.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from side import IMAGES, Claim, Worker, ask_in_turn, compose_ours, fit_seconds, make_parser, serve, write_json

SIDES = ("ours", "by_hand", "stock")
POOL_SIZE = 50
Action = Callable[[], Any]


def build_parts(steps: int, overrides: list[str]) -> tuple[Any, Any, Any, Any]:
    """Config, hardware, model and data set of the shipped config."""
    config, hardware = compose_ours(
        ["task=cyclegan", f"trainer.steps={steps}", "trainer.epochs=null", *overrides]
    )
    import torch

    from aiexp.config.objects.build import build

    torch.manual_seed(0)
    dataset = build(config["dataset"])
    return config, hardware, build(config["model"]), dataset


def ours(steps: int, overrides: list[str]) -> Action:
    """Through the shipped Trainer, Task and Dataset; nothing is special to the benchmark."""
    config, hardware, model, dataset = build_parts(steps, overrides)
    from aiexp.config.objects.build import build

    task = build(config["task"], model=model, dataset=dataset)
    return lambda: fit_seconds(config, task, dataset, hardware)


class ByHand:
    """The training loop as one would write it for this paper alone."""

    def __init__(self, model: Any, dataset: Any, hardware: Any) -> None:
        import torch

        self.model = model.to(hardware.device).to(memory_format=torch.channels_last)
        self.hardware, self.dataset = hardware, dataset
        self.pools: tuple[list[Any], list[Any]] = ([], [])

    def pooled(self, side: int, fake: Any) -> Any:
        import random

        pool = self.pools[side]
        if len(pool) < POOL_SIZE:
            pool.append(fake)
            return fake
        if random.random() < 0.5:
            return fake
        place = random.randrange(POOL_SIZE)
        pool[place], old = fake, pool[place]
        return old

    def batch(self, number: int) -> list[Any]:
        import torch

        images = [self.dataset.images("train", side) for side in ("a", "b")]
        size, device = self.dataset.batch_size, self.hardware.device
        rows = [(torch.arange(size) + number * size) % len(side) for side in images]
        chosen = [side[row].to(device).float() / 127.5 - 1 for side, row in zip(images, rows, strict=True)]
        return [each.contiguous(memory_format=torch.channels_last) for each in chosen]

    def generator_loss(self, a: Any, b: Any) -> tuple[Any, Any, Any]:
        import torch
        import torch.nn.functional as F

        m = self.model
        fake_b, same_b = m.generator_ab(torch.cat([a, b])).float().chunk(2)
        fake_a, same_a = m.generator_ba(torch.cat([b, a])).float().chunk(2)
        cycle = F.l1_loss(m.generator_ba(fake_b).float(), a) + F.l1_loss(m.generator_ab(fake_a).float(), b)
        identity = F.l1_loss(same_a, a) + F.l1_loss(same_b, b)
        score_b, score_a = m.discriminator_b(fake_b).float(), m.discriminator_a(fake_a).float()
        adversarial = ((score_b - 1) ** 2).mean() + ((score_a - 1) ** 2).mean()
        return adversarial + 10 * cycle + 5 * identity, fake_a.detach(), fake_b.detach()

    def discriminator_loss(self, network: Any, real: Any, fake: Any) -> Any:
        import torch

        real_score, fake_score = network(torch.cat([real, fake])).float().chunk(2)
        return (((real_score - 1) ** 2).mean() + (fake_score**2).mean()) / 2

    def train(self, steps: int) -> float:
        import torch

        m = self.model
        generators = [*m.generator_ab.parameters(), *m.generator_ba.parameters()]
        discriminators = [*m.discriminator_a.parameters(), *m.discriminator_b.parameters()]
        optimizers = [
            torch.optim.Adam(group, lr=2e-4, betas=(0.5, 0.999), fused=True)
            for group in (generators, discriminators)
        ]
        start = time.perf_counter()
        for number in range(steps):
            a, b = self.batch(number)
            for p in discriminators:
                p.requires_grad_(False)
            with self.hardware.autocast():
                loss, fake_a, fake_b = self.generator_loss(a, b)
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
            for p in discriminators:
                p.requires_grad_(True)
            with self.hardware.autocast():
                loss = self.discriminator_loss(m.discriminator_a, a, self.pooled(0, fake_a))
                loss = loss + self.discriminator_loss(m.discriminator_b, b, self.pooled(1, fake_b))
            optimizers[1].zero_grad()
            loss.backward()
            optimizers[1].step()
        loss.item()
        return time.perf_counter() - start


class Stock(ByHand):
    """PyTorch's own layers and layout, one image a call."""

    def __init__(self, model: Any, dataset: Any, hardware: Any) -> None:
        super().__init__(model, dataset, hardware)
        import torch

        replace_layers(self.model)
        self.model.to(memory_format=torch.contiguous_format)

    def batch(self, number: int) -> list[Any]:
        return [images.contiguous() for images in super().batch(number)]

    def generator_loss(self, a: Any, b: Any) -> tuple[Any, Any, Any]:
        import torch.nn.functional as F

        m = self.model
        fake_b, fake_a = m.generator_ab(a).float(), m.generator_ba(b).float()
        cycle = F.l1_loss(m.generator_ba(fake_b).float(), a) + F.l1_loss(m.generator_ab(fake_a).float(), b)
        identity = F.l1_loss(m.generator_ba(a).float(), a) + F.l1_loss(m.generator_ab(b).float(), b)
        score_b, score_a = m.discriminator_b(fake_b).float(), m.discriminator_a(fake_a).float()
        adversarial = ((score_b - 1) ** 2).mean() + ((score_a - 1) ** 2).mean()
        return adversarial + 10 * cycle + 5 * identity, fake_a.detach(), fake_b.detach()

    def discriminator_loss(self, network: Any, real: Any, fake: Any) -> Any:
        return (((network(real).float() - 1) ** 2).mean() + (network(fake).float() ** 2).mean()) / 2


def replace_layers(module: Any) -> None:
    """Puts PyTorch's layers in the place of ours."""
    from torch import nn

    from aiexp.model.layer.instance_norm import InstanceNorm
    from aiexp.model.layer.reflection_padding import ReflectionPadding

    for name, child in module.named_children():
        if isinstance(child, InstanceNorm):
            setattr(module, name, nn.InstanceNorm2d(1))  # without weights the width is not looked at
        elif isinstance(child, ReflectionPadding):
            setattr(module, name, nn.ReflectionPad2d(child.size))
        else:
            replace_layers(child)


def actions(name: str, steps: int, overrides: list[str]) -> dict[str, Action]:
    if name == "ours":
        return {"train": ours(steps, overrides)}
    _, hardware, model, dataset = build_parts(steps, overrides)
    loop = (Stock if name == "stock" else ByHand)(model, dataset, hardware)
    return {"train": lambda: loop.train(steps)}


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    seconds, over = result["step_seconds"], result["ours_over"]
    names = {
        "by_hand": ("a loop by hand, same networks and calls", 1.03),
        "stock": ("the calls of the authors' code", None),
    }
    found: list[Claim] = []
    for side, (name, goal) in names.items():
        if side in over:
            found.append(
                Claim(
                    field=IMAGES,
                    what=f"a step of `cyclegan` against {name}",
                    measured=f"{seconds['ours']:.3f} against {seconds[side]:.3f} s, {over[side]:.2f} of it",
                    goal="" if goal is None else f"{goal:g}",
                    is_met=None if goal is None else over[side] <= goal,
                )
            )
    return found


def main() -> None:
    parser = make_parser(__doc__, SIDES, rounds=7)
    parser.add_argument("--steps", type=int, default=40, help="training steps of a round")
    parser.add_argument("overrides", nargs="*", help="for example model.base_channels=64")
    options = parser.parse_args()
    if options.worker:
        return serve(lambda: actions(options.worker, options.steps, options.overrides))
    result = compare(options.sides, options.rounds, options.steps, options.overrides)
    print(table(result))
    write_json(options.json, result)


def compare(sides: list[str], rounds: int, steps: int, overrides: list[str]) -> dict[str, Any]:
    """Seconds a step of every round and side, and their medians."""
    from importlib.metadata import version

    workers = {s: Worker([__file__, "--worker", s, "--steps", str(steps), *overrides]) for s in sides}
    answers = ask_in_turn(workers, "train", rounds)
    seconds = {side: [taken / steps for taken in times] for side, times in answers.items()}
    ratios = {
        side: median(mine / theirs for mine, theirs in zip(seconds["ours"], times, strict=True))
        for side, times in seconds.items()
        if "ours" in seconds
    }
    return {
        "torch": version("torch"), "steps": steps, "overrides": overrides, "seconds": seconds,
        "step_seconds": {side: median(times) for side, times in seconds.items()}, "ours_over": ratios,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = [f"torch {result['torch']}, medians of {len(next(iter(result['seconds'].values())))} rounds"]
    lines.append(f"{'side':10} {'s a step':>9} {'ours takes':>11}")
    for side, seconds in result["step_seconds"].items():
        ratio = f"{result['ours_over'][side]:.3f}x" if result["ours_over"] else ""
        lines.append(f"{side:10} {seconds:9.3f} {ratio:>11}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
