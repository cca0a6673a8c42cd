"""Predictions beside transformers' pipeline (texts) and torchvision's ImageFolder (pictures), same weights.

    .venv/bin/python scripts/bench/predict.py RUN... [--inputs 1000] [--rounds 3] [--json FILE]

A run of bert_finetune is asked about its test texts, one of mnist_cnn about its test pictures as PNG files in
a folder. The sides take turns in one process, each with batches of 32 and as many threads; the ratio is the
median over the rounds, after one that warms up. ImageFolder is tried with 0 and 2 workers: the better counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from side import USE, Claim, ratio_claim, write_json
from torch.utils.data import DataLoader

from aiexp.config.objects.build import build
from aiexp.experiment import build_task
from aiexp.runs.loaded import LoadedRun, load_run
from aiexp.use.exporting.export import Request, export
from aiexp.use.predicting import predictions
from aiexp.use.reading import named, read_items

BATCH = 32
Side = Callable[[], list[str]]  # the labels, in order


def data_of(run: LoadedRun) -> Any:
    """The data set of a run, ready."""
    dataset = build(run.config["dataset"])
    build_task(run.config, dataset)
    return dataset


def of_texts(run: LoadedRun, folder: Path, count: int) -> dict[str, Side]:
    """Both sides on the test texts."""
    from transformers import pipeline

    texts = [str(text) for text in data_of(run).texts("test")][:count]
    exported = export(run, Request(form="huggingface", out=folder / "hf", quantize=False), print)
    asked: Any = pipeline("text-classification", model=str(exported), batch_size=BATCH, device="cpu")

    def ours() -> list[str]:
        return labels(run, named(texts))

    def theirs() -> list[str]:
        return [answer["label"] for answer in asked(texts, truncation=True)]

    return {"aiexp": ours, f"transformers {version('transformers')} pipeline": theirs}


def of_pictures(run: LoadedRun, folder: Path, count: int) -> dict[str, Side]:
    """All sides on the test pictures as files."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Grayscale, PILToTensor

    images = data_of(run).images("test")
    (folder / "all").mkdir()
    for number in range(min(count, len(images))):
        Image.fromarray(images[number : number + 1][0, 0].numpy()).save(folder / "all" / f"{number:05}.png")
    transform = Compose([Grayscale(), PILToTensor()])

    def ours() -> list[str]:
        return labels(run, read_items([str(folder / "all")], run.task.inputs(), ""))

    def with_workers(workers: int) -> Side:
        def theirs() -> list[str]:
            found: list[str] = []
            loader = DataLoader(ImageFolder(str(folder), transform), BATCH, num_workers=workers)
            names: Any = run.task.class_names
            with torch.inference_mode():
                for pictures, _ in loader:
                    probabilities = run.task.logits({"images": pictures}).softmax(1)
                    found += [names[best] for best in probabilities.argmax(1).tolist()]
            return found

        return theirs

    name = f"torchvision {version('torchvision')} ImageFolder, DataLoader"
    return {"aiexp": ours, **{f"{name}, {workers} workers": with_workers(workers) for workers in (0, 2)}}


def labels(run: LoadedRun, items: Any) -> list[str]:
    """Ours, as `aiexp predict` makes them."""
    answers = predictions(run, run.task.inputs(), items, batch_size=BATCH)
    return [answer.result.values["label"] for answer in answers]  # pyright: ignore


def measure(path: Path, count: int, rounds: int) -> dict[str, Any]:
    """Inputs a second of each side, and our lead over the best other."""
    run = load_run(path, say=print)
    with tempfile.TemporaryDirectory() as name:
        make = of_texts if run.task.inputs().noun == "a text" else of_pictures
        sides = make(run, Path(name), count)
        wanted = {side: call() for side, call in sides.items()}  # warms up
        first = wanted["aiexp"]
        same = min(sum(a == b for a, b in zip(first, one, strict=True)) for one in wanted.values())
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, call in sides.items():
                started = time.perf_counter()
                speeds[side].append(len(call()) / (time.perf_counter() - started))
    others = [values for side, values in speeds.items() if side != "aiexp"]
    ratios = [ours / max(values) for ours, *values in zip(speeds["aiexp"], *others, strict=True)]
    return {
        "task": type(run.task).__name__,
        "inputs": len(first),
        "same_labels": same,
        "per_second": {side: median(values) for side, values in speeds.items()},
        "ratio": median(ratios),
        "ratios": ratios,
    }


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    goals = {"TextClassification": 1.5, "ImageClassification": 2.0}
    found: list[Claim] = []
    for row in result["rows"]:
        ours, *others = row["per_second"].items()
        peer, speed = max(others, key=lambda item: item[1])
        spread = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        measured = f"{ours[1]:.0f} against {speed:.0f} inputs/s, {row['ratio']:.2f}x ({spread})"
        what = (
            f"`aiexp predict`, {row['inputs']} inputs, {row['same_labels']} labels the same, against {peer}"
        )
        found.append(ratio_claim(USE, what, measured, row["ratio"], goals[row["task"]]))
    return found


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [measure(path, arguments.inputs, arguments.rounds) for path in arguments.runs]
    for row in rows:
        print(f"{row['task']}: {row['inputs']} inputs, {row['same_labels']} labels the same")
        for side, speed in row["per_second"].items():
            print(f"  {side:60} {speed:8.1f}/s")
        print(f"  ratio {row['ratio']:.2f} ({', '.join(f'{ratio:.2f}' for ratio in row['ratios'])})")
    write_json(arguments.json, {"rows": rows}, "transformers", "torchvision")


if __name__ == "__main__":
    main()
