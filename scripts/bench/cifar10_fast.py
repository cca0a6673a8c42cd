"""Accuracy and minutes on CIFAR-10: `task=cifar10_fast`, and the textbook network, stock and through aiexp.

    .venv/bin/aiexp data fetch cifar10
    .venv/bin/python scripts/bench/cifar10_fast.py --json outputs/cifar10_fast.json

The sides run one after the other, each as a command of its own on all cores, once for each seed:

- stock: the network of `task=cifar10_cnn`, SGD 0.01 with momentum 0.9, batch size 64, 10 epochs: a plain loop
  over torchvision's data set (PIL images in memory), ToTensor and Normalize for each image, and a DataLoader
  with two workers; fp32. With --stock-epochs below 10 its time for 10 is extrapolated from these, and its
  accuracy is that after these.
- cifar10_cnn: `aiexp run task=cifar10_cnn`, the same in ours.
- cifar10_fast: `aiexp run task=cifar10_fast`.

"train" is the time of the training steps with their data. "all" is the command from start to end, with the
imports, the test and, in ours, checkpoints and pictures; that of the stock side is extrapolated likewise.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from side import write_json

SIDES = ("stock", "cifar10_cnn", "cifar10_fast")
EPOCHS, BATCH_SIZE, LEARNING_RATE, MOMENTUM = 10, 64, 0.01, 0.9
Result = dict[str, float]


class Stock:
    """What torchvision.datasets.CIFAR10 does for an item, over the same images.

    Args:
        dataset: Our data set, for its images.
        split: "train" or "test".
    """

    def __init__(self, dataset: Any, split: str) -> None:
        from torchvision import transforms

        self.images = dataset.images(split).permute(0, 2, 3, 1).numpy()  # (N, 32, 32, 3) uint8
        self.labels: list[int] = dataset.labels(split).tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def stock(epochs: int, seed: int, limit: int | None) -> Result:
    """Accuracy after `epochs` epochs, and the seconds of training and test."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.data import DataLoader

    from aiexp.config.compose import compose
    from aiexp.config.objects.build import build

    torch.manual_seed(seed)
    changes = [] if limit is None else [f"dataset.limit={limit}"]
    config = compose(["task=cifar10_cnn", *changes]).config
    dataset, trunk = build(config["dataset"]), build(config["model"])
    model = nn.Sequential(trunk, nn.Linear(trunk.feature_size, len(dataset.class_names)))
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=MOMENTUM)
    train: Any = Stock(dataset, "train")
    loader: Any = DataLoader(train, BATCH_SIZE, shuffle=True, num_workers=2, persistent_workers=True)
    start = time.perf_counter()
    for number in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        print(f"stock: epoch {number + 1} of {epochs} done", file=sys.stderr)
    train_seconds = time.perf_counter() - start
    test: Any = Stock(dataset, "test")
    correct = 0
    model.eval()
    with torch.inference_mode():
        for images, labels in DataLoader(test, 500, num_workers=2):
            correct += int((model(images).argmax(1) == labels).sum())
    return {"accuracy": correct / len(test), "train_seconds": train_seconds}


def run_stock(epochs: int, seed: int, limit: int | None) -> Result:
    """The stock side as a process of its own, its times scaled to `EPOCHS`."""
    command = [sys.executable, __file__, "--worker", "--stock-epochs", str(epochs), "--seeds", str(seed)]
    command += [] if limit is None else ["--limit", str(limit)]
    start = time.perf_counter()
    result: Result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    seconds = time.perf_counter() - start
    rest = result["train_seconds"] * (EPOCHS / epochs - 1)
    return {
        "accuracy": result["accuracy"],
        "train_seconds": result["train_seconds"] + rest,
        "all_seconds": seconds + rest,
    }


def run_ours(task: str, seed: int, limit: int | None) -> Result:
    """`aiexp run task=...` in a throw-away folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "aiexp", "run", f"task={task}", f"seed={seed}", "tracker=none",
            f"outputs={folder}",
        ]  # fmt: skip
        command += [] if limit is None else [f"dataset.limit={limit}"]
        start = time.perf_counter()
        subprocess.run(command, stdout=sys.stderr, check=True)
        seconds = time.perf_counter() - start
        directory = Path(folder, "latest")
        status = json.loads((directory / "status.json").read_text())
        rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    timed = [(0, 0.0)] + [(r["step"], r["time/step_seconds"]) for r in rows if "time/step_seconds" in r]
    return {
        "accuracy": status["metrics"]["test/accuracy"],
        "train_seconds": sum((step - before) * taken for (before, _), (step, taken) in pairwise(timed)),
        "all_seconds": seconds,
    }


def compare(sides: Sequence[str], seeds: list[int], stock_epochs: int, limit: int | None) -> dict[str, Any]:
    """Every side for every seed, in turn."""
    from importlib.metadata import version

    results: dict[str, list[Result]] = {side: [] for side in sides}
    for seed in seeds:
        for side in sides:
            result = run_stock(stock_epochs, seed, limit) if side == "stock" else run_ours(side, seed, limit)
            results[side].append(result)
            print(f"{side}, seed {seed}: {result}", file=sys.stderr)
    return {
        "versions": {name: version(name) for name in ("torch", "torchvision")},
        "stock_epochs": stock_epochs, "seeds": seeds, "limit": limit, "runs": results,
        "means": {s: {k: mean(r[k] for r in runs) for k in runs[0]} for s, runs in results.items()},
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = [", ".join(f"{name} {number}" for name, number in result["versions"].items())]
    epochs = result["stock_epochs"]
    if epochs != EPOCHS and "stock" in result["means"]:
        lines.append(f"stock: accuracy after {epochs} epoch(s); its minutes extrapolated to {EPOCHS}")
    lines.append(f"{'side':14} {'accuracy':>9} {'train min':>10} {'all min':>8} {'of stock':>9}")
    means = result["means"]
    for side, row in means.items():
        train, whole = row["train_seconds"] / 60, row["all_seconds"] / 60
        share = f"{row['all_seconds'] / means['stock']['all_seconds']:.0%}" if "stock" in means else ""
        lines.append(f"{side:14} {row['accuracy']:9.4f} {train:10.1f} {whole:8.1f} {share:>9}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--stock-epochs", type=int, default=EPOCHS, help="epochs that the stock side trains")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--limit", type=int, help="images of each split at most: a trial of this script")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(stock(options.stock_epochs, options.seeds[0], options.limit)))
        return
    result = compare(options.sides, options.seeds, options.stock_epochs, options.limit)
    print(table(result))
    write_json(options.json, result)


if __name__ == "__main__":
    main()
