"""Many pictures in class folders: time to the first batch, memory, pictures a second beside torchvision.

    .venv/bin/python scripts/bench/picture_folder.py [--pictures 100000] [--files 2000] [--size 224]

Generates JPEG files of 224 pixels and hard links to them in a temporary folder. The first start looks through
all of them, the second remembers; each is a process of its own and counts from the end of its imports.
cpu_seconds are those of all its processes: on a busy machine they say more than the clock. Then both loaders
make batches of the same size with the same workers, in turn; the ratio is the median over the rounds.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from side import write_json
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

BATCH = 64
CLASSES = 100
FILE_SIZE = 224  # pixels


def write(folder: Path, num_pictures: int, num_files: int) -> None:
    """JPEG files of smooth noise, about 13 KB each, and hard links to them in class folders."""
    random = np.random.default_rng(0)
    (folder / "files").mkdir()
    for i in range(num_files):
        coarse = Image.fromarray(random.integers(0, 256, (14, 14, 3)).astype(np.uint8))
        fine = np.asarray(coarse.resize((FILE_SIZE, FILE_SIZE), Image.Resampling.BICUBIC)).astype(int)
        noisy = (fine + random.integers(-12, 13, fine.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "files" / f"{i}.jpg", quality=85)
    for name in range(CLASSES):
        (folder / "train" / f"class{name:03}").mkdir(parents=True)
    for i in range(num_pictures):
        os.link(
            folder / "files" / f"{i % num_files}.jpg",
            folder / "train" / f"class{i % CLASSES:03}" / f"{i}.jpg",
        )


def ours(folder: Path, size: int, num_workers: int) -> Any:
    from aiexp.dataset.image.folder import image_folder

    return image_folder(
        train_folder=str(folder / "train"),
        eval_folder=None,
        test_folder=None,
        eval_fraction=0.1,
        test_fraction=0.1,
        on_bad_sample="error",
        memory="lazy",
        num_workers=num_workers,
        image_size=size,
        channels=3,
        mean=[0.5],
        std=[0.25],
        batch_size=BATCH,
        eval_batch_size=BATCH,
        drop_last=False,
        limit=None,
        seed=0,
    )


def theirs(folder: Path, size: int, num_workers: int) -> Iterator[Any]:
    resized = transforms.Compose(
        [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
    )
    pictures = ImageFolder(str(folder / "train"), resized)
    return iter(DataLoader(pictures, BATCH, shuffle=True, num_workers=num_workers))


def memory() -> dict[str, float]:
    """MB of this process: the most it ever had, and what is its own now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmHWM", "RssAnon"))}
    return {name: int(value) / 1024 for name, value in values.items()}


def start(folder: Path, size: int, num_workers: int) -> None:
    """What a process needs from the end of its imports to the first batch; prints it as JSON."""
    import aiexp.dataset.image.folder  # noqa: F401

    before, began, cpu = memory(), time.perf_counter(), sum(os.times()[:4])
    dataset = ours(folder, size, num_workers)
    built = time.perf_counter() - began
    batches = dataset.train_batches(0)
    next(batches)
    seconds = time.perf_counter() - began
    multiprocessing.active_children()  # those of the first look are counted when they are waited for
    cpu = sum(os.times()[:4]) - cpu
    for _ in islice(batches, 20):
        pass
    after = memory()
    print(
        json.dumps(
            {
                "built_seconds": built,
                "first_batch_seconds": seconds,
                "cpu_seconds": cpu,
                "peak_mb": after["VmHWM"] - before["VmHWM"],
                "anonymous_mb": after["RssAnon"] - before["RssAnon"],
            }
        )
    )


def pictures_per_second(batches: Iterator[Any], num_batches: int) -> float:
    for _ in islice(batches, 4):  # the workers start
        pass
    began = time.perf_counter()
    for _ in islice(batches, num_batches):
        pass
    return num_batches * BATCH / (time.perf_counter() - began)


def compare(folder: Path, size: int, num_workers: int, rounds: int, num_batches: int) -> dict[str, Any]:
    dataset = ours(folder, size, num_workers)
    makers: dict[str, Callable[[], Iterator[Any]]] = {
        "aiexp": lambda: dataset.train_batches(0),
        "torchvision": lambda: theirs(folder, size, num_workers),
    }
    found: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            batches = make()
            found[name].append(pictures_per_second(batches, num_batches))
            del batches  # its workers end before the other's start
    ratios = [a / b for a, b in zip(found["aiexp"], found["torchvision"], strict=True)]
    return {
        **{f"{name}_pictures_per_second": statistics.median(rates) for name, rates in found.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--size", type=int, nargs="+", default=[224, 128], help="pixels of the output")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start:
        start(given.start, given.size[0], given.workers)
        return
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "Pillow": PIL.__version__}
    result: dict[str, Any] = {"pictures": given.pictures, "workers": given.workers, "versions": versions}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AIEXP_DATA_DIR"] = str(folder / "data")
        write(folder, given.pictures, given.files)
        for which in ("first start", "second start"):
            command = [sys.executable, __file__, "--start", name, "--workers", str(given.workers)]
            command += ["--size", str(given.size[0])]
            result[which] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for size in given.size:
            result[f"{size} pixels"] = compare(folder, size, given.workers, given.rounds, given.batches)
    write_json(given.json, result, "torchvision", "Pillow")
    print(f"{given.pictures:,} pictures, {given.workers} workers, {versions}")
    for which in ("first start", "second start"):
        print(f"{which:14} {', '.join(f'{key} {value:.1f}' for key, value in result[which].items())}")
    for size in given.size:
        row = {key: value for key, value in result[f"{size} pixels"].items() if key != "ratios"}
        print(f"{size:4} pixels    {', '.join(f'{key} {value:.2f}' for key, value in row.items())}")


if __name__ == "__main__":
    main()
