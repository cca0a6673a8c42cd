"""Images a second when training the network of `task=mnist_cnn`: ours, the stock recipe, Lightning's Trainer.

    .venv/bin/python -m pip install --group bench
    .venv/bin/python scripts/bench/mnist_cnn.py --json outputs/mnist_cnn.json

Each side is a process of its own, as a user would start it, and the sides take turns in every round: so
many training images of MNIST (batch size 64, Adam 1e-3, the same network). A first round warms everything up
and is not counted; the median over the other rounds is printed. Saving and logging are off on every side.

- ours: `aiexp run task=mnist_cnn`.
- stock: a plain loop over torchvision's data set, ToTensor and Normalize for each image, and a DataLoader,
  fp32; with no workers and with two.
- lightning: Lightning's Trainer, bf16-mixed, channels_last: over the stock data with two persistent workers,
  and over a TensorDataset of normalised images in memory without workers.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from side import IMAGES, Claim, Worker, ask_in_turn, compose_ours, fit_seconds, make_parser, serve, write_json

SIDES = ("ours", "stock_0", "stock_2", "lightning_2", "lightning_tensors")
BATCH_SIZE, MEAN, STD = 64, 0.1307, 0.3081
Action = Callable[[], Any]


def ours(limit: int) -> Action:
    """Through the shipped config, Trainer, Task and Dataset; nothing is special to the benchmark."""
    overrides = [
        "task=mnist_cnn", f"dataset.limit={limit}", f"dataset.batch_size={BATCH_SIZE}", "dataset.num_eval=0",
        "trainer.epochs=1", "trainer.selection.monitor=null",
    ]  # fmt: skip
    config, hardware = compose_ours(overrides)
    import torch

    from aiexp.config.objects.build import build

    torch.manual_seed(0)
    dataset = build(config["dataset"])
    task = build(config["task"], model=build(config["model"]), dataset=dataset)
    return lambda: fit_seconds(config, task, dataset, hardware)


def network() -> Any:
    """The trunk of `model=mnist_cnn` and the task's linear head."""
    from torch import nn

    from aiexp.config.compose import compose
    from aiexp.config.objects.build import build

    model = build(compose(["task=mnist_cnn"]).config["model"])
    return nn.Sequential(model, nn.Linear(model.feature_size, 10))


def pictures(limit: int) -> tuple[Any, Any]:
    """The first `limit` training images (N, 1, 28, 28) uint8 and labels (N,) int64."""
    from aiexp.config.compose import compose
    from aiexp.config.objects.build import build

    dataset = build(compose(["task=mnist_cnn", "dataset.num_eval=0"]).config["dataset"])
    return dataset.images("train")[:limit], dataset.labels("train")[:limit]


class Stock:
    """What torchvision.datasets.MNIST does for an item, over the same images."""

    def __init__(self, images: Any, labels: Any) -> None:
        from torchvision import transforms

        self.images, self.labels = images[:, 0], labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index].numpy())), int(self.labels[index])


def stock(limit: int, num_workers: int) -> Action:
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader

    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data: Any = Stock(*pictures(limit))
    loader: Any = DataLoader(
        data, BATCH_SIZE, shuffle=True, num_workers=num_workers, persistent_workers=num_workers > 0
    )

    def epoch() -> float:
        start = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def lightning(limit: int, in_memory: bool) -> Action:
    import logging
    import warnings

    import lightning as L
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)

    class Module(L.LightningModule):
        seconds = 0.0

        def __init__(self) -> None:
            super().__init__()
            self.network = network().to(memory_format=torch.channels_last)

        def training_step(self, batch: Any, _: int) -> Any:
            images, labels = batch
            images = images.contiguous(memory_format=torch.channels_last)
            return F.cross_entropy(self.network(images), labels)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self) -> None:
            self.seconds = -time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.seconds += time.perf_counter()

    images, labels = pictures(limit)
    if in_memory:
        data: Any = TensorDataset((images.float() / 255 - MEAN) / STD, labels)
    else:
        data = Stock(images, labels)
    workers = 0 if in_memory else 2
    loader: Any = DataLoader(
        data, BATCH_SIZE, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    module = Module()

    def epoch() -> float:
        trainer = L.Trainer(
            accelerator="cpu", precision="bf16-mixed", max_epochs=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, loader)
        return module.seconds

    return epoch


def actions(name: str, limit: int) -> dict[str, Action]:
    sides: dict[str, Callable[[], Action]] = {
        "ours": lambda: ours(limit),
        "stock_0": lambda: stock(limit, 0),
        "stock_2": lambda: stock(limit, 2),
        "lightning_2": lambda: lightning(limit, False),
        "lightning_tensors": lambda: lightning(limit, True),
    }
    return {"train": sides[name]()}


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    speeds = result["images_per_second"]
    names = {
        "stock_0": ("the stock recipe without workers", None),
        "stock_2": ("the stock recipe with two workers", 3.0),
        "lightning_2": ("Lightning, DataLoader with two workers", None),
        "lightning_tensors": ("Lightning, TensorDataset in memory", 1.3),
    }
    found: list[Claim] = []
    for side, (name, goal) in names.items():
        if side in speeds:
            ratio = speeds["ours"] / speeds[side]
            found.append(
                Claim(
                    field=IMAGES,
                    what=f"`mnist_cnn`, training, batch {result['batch_size']}, against {name}",
                    measured=f"{speeds['ours']:,.0f} against {speeds[side]:,.0f} images/s, {ratio:.2f}x",
                    goal="" if goal is None else f"{goal:g}x",
                    is_met=None if goal is None else ratio >= goal,
                )
            )
    return found


def main() -> None:
    parser = make_parser(__doc__, SIDES, rounds=5)
    parser.add_argument("--limit", type=int, default=12800, help="images of a round")
    options = parser.parse_args()
    if options.worker:
        return serve(lambda: actions(options.worker, options.limit))
    result = compare(options.sides, options.rounds, options.limit)
    print(table(result))
    write_json(options.json, result, "torchvision", "lightning")


def compare(sides: list[str], rounds: int, limit: int) -> dict[str, Any]:
    """Seconds of every round and side, and images a second."""
    from importlib.metadata import version

    workers = {s: Worker([__file__, "--worker", s, "--limit", str(limit)]) for s in sides}
    seconds = ask_in_turn(workers, "train", rounds)
    return {
        "versions": {name: version(name) for name in ("torch", "torchvision", "lightning")},
        "batch_size": BATCH_SIZE, "images": limit, "seconds": seconds,
        "images_per_second": {side: limit / median(times) for side, times in seconds.items()},
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = [", ".join(f"{name} {number}" for name, number in result["versions"].items())]
    lines.append(f"{'side':18} {'images/s':>9} {'ours is':>8}")
    speeds = result["images_per_second"]
    for side, speed in speeds.items():
        ratio = f"{speeds['ours'] / speed:.2f}x" if "ours" in speeds else ""
        lines.append(f"{side:18} {speed:9.0f} {ratio:>8}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
