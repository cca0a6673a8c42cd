"""A step of each task on a GPU: microseconds, how often it waits for the GPU, and memory.

    .venv/bin/python scripts/bench/gpu.py --json outputs/gpu_bench.json

Data are generated in the shapes of the presets, so that nothing is fetched. Each case runs without CUDA
graphs, with them (as shipped), and compiled without and with them; BERT also in transformers' Trainer. Steps
are those of the trainer, with a line of metrics every fifty; the median over the laps is printed, and the
largest is in the JSON. "waits" counts the synchronising CUDA calls a step between two lines. `--hardware cpu`
tries the script where there is no GPU; its times mean nothing.
"""

import argparse
import csv
import gc
import itertools
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from side import write_json

from aiexp.config.compose import compose
from aiexp.dataset.few_shot import glyphs
from aiexp.errors import AiexpError
from aiexp.experiment import Experiment
from aiexp.task.contract import training_batches
from aiexp.trainer.stepper import Stepper

LAP, LAPS = 50, 5  # steps between two lines, and how often
BASE = ["num_layers=12", "num_heads=12", "hidden_size=768", "intermediate_size=3072"]
CASES: dict[str, list[str]] = {
    "mnist_cnn": ["task=mnist_cnn", "DIGITS"],
    "cifar10_cnn": ["task=cifar10_cnn", "OBJECTS"],
    "cifar10_fast": ["task=cifar10_fast", "OBJECTS", "dataset.batch_size=512"],
    "resnet50": ["task=transfer", "model=torchvision", "model.name=resnet50", "PHOTOS"],
    "bert_base": ["task=bert_finetune", "model=bert_tiny", *(f"model.{size}" for size in BASE), "TEXTS"],
    "dcgan": ["task=dcgan", "DIGITS", "task.quality.classifier=null"],
    "cyclegan": ["task=cyclegan", "PAIRS"],
    "dqn_cartpole": ["task=dqn_cartpole"],
    "maml_sine": ["task=maml_sine"],
    "maml_fewshot": ["task=maml_fewshot", "LETTERS"],
    "protonet_fewshot": ["task=protonet_fewshot", "LETTERS"],
}
VARIANTS = {
    "eager": ["hardware.cuda_graphs=false"],
    "graphs": [],
    "compiled": ["hardware.compile=true", "hardware.cuda_graphs=false"],
    "both": ["hardware.compile=true"],
    "peer": [],
}


def pictures(folder: Path, side: int, channels: int, count: int, classes: int) -> Path:
    """A folder with a sub-folder of smooth random pictures for each class, made once."""
    if folder.exists():
        return folder
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class-{number % classes}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (8, 8, channels), dtype=np.uint8)
        image = Image.fromarray(coarse if channels == 3 else coarse[:, :, 0]).resize((side, side))
        image.save(place / f"{number}.png")
    return folder


def letters(examples: int, image_size: int, *_: Any) -> tuple[Any, list[str], list[str]]:
    """What `glyphs.drawn` returns, of no font: 40 letters of 40 scripts."""
    shape = (1600, examples, 1, image_size, image_size)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return images, [str(i) for i in range(1600)], [f"script {i // 40}" for i in range(1600)]


def data(root: Path, kind: str) -> list[str]:
    """The overrides for generated data of one kind."""
    if kind == "LETTERS":
        glyphs.drawn = letters
        return []
    if kind == "TEXTS":
        path, random = root / "texts.csv", np.random.default_rng(0)
        if not path.exists():
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(["text", "label"])
                for number in range(4000):
                    words = ["".join(chr(97 + c) for c in random.integers(0, 26, 5)) for _ in range(24)]
                    rows.writerow([" ".join(words), ("down", "up")[number % 2]])
        return ["dataset=text_files", f"dataset.train_file={path}", "dataset.batch_size=32"]
    if kind == "PAIRS":
        for name in ("trainA", "trainB", "testA", "testB"):
            pictures(root / "pairs" / name, 64, 3, 64, 1)
        return [
            "dataset=unpaired_folders",
            f"dataset.folder={root / 'pairs'}",
            "dataset.image_size=64",
            "trainer.selection.monitor=null",
        ]
    side, channels, batch_size = {"DIGITS": (28, 1, 64), "OBJECTS": (32, 3, 128), "PHOTOS": (224, 3, 64)}[
        kind
    ]
    folder = pictures(root / kind.lower(), side, channels, 1500, 10)
    statistics = ["dataset.mean=[0.5]", "dataset.std=[0.5]"] if channels == 1 else []
    return [
        "dataset=image_folder", f"dataset.train_folder={folder}", f"dataset.image_size={side}",
        f"dataset.channels={channels}", f"dataset.batch_size={batch_size}", "dataset.memory=resident",
        *statistics,
    ]  # fmt: skip


def overrides(root: Path, case: str) -> list[str]:
    made = [data(root, part) if part.isupper() else [part] for part in CASES[case]]
    return [part for parts in made for part in parts]


@contextmanager
def seen_waits() -> Iterator[list[str]]:
    """Where CUDA calls that wait for the GPU are made while it is open."""
    places: list[str] = []
    if not torch.cuda.is_available():
        yield places
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits = [w for w in seen if "called a synchronizing CUDA operation" in str(w.message)]
        places += [f"{'/'.join(Path(w.filename).parts[-3:])}:{w.lineno}" for w in waits]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(typed: list[str], seconds: float) -> dict[str, Any]:
    """Trains until it has its laps, or the time is up; the first lap warms up."""
    torch._dynamo.reset()
    gc.collect()
    config: Any = compose([*typed, "tracker=none"]).config
    began = time.perf_counter()
    made = Experiment.of(config)
    task, hardware, trainer = made.task, made.hardware, made.trainer
    hardware.prepare(task)
    stepper = Stepper(
        task,
        hardware,
        schedule=trainer.schedule,
        total_steps=trainer.total_steps(made.dataset),
        clip=trainer.clip,
    )
    task.train()
    batches = training_batches(task, made.dataset, 0)
    if hardware.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    number, laps, result = 0, list[float](), dict[str, Any]()
    while len(laps) < LAPS + 1 and (len(laps) < 2 or time.perf_counter() - began < seconds):
        start = time.perf_counter()
        for _ in range(LAP):
            number += 1
            stepper.step(number, [next(batches) for _ in range(trainer.accumulate)])
        stepper.take_metrics()
        wait(hardware.device)
        laps.append((time.perf_counter() - start) / LAP)
        if len(laps) == 1:
            result["first_lap_seconds"] = laps[0] * LAP
    with seen_waits() as places:
        for _ in range(10):
            number += 1
            stepper.step(number, [next(batches) for _ in range(trainer.accumulate)])
    result |= {"waits_per_step": len(places) / 10, "waits_at": sorted(set(places))}
    stepper.take_metrics()
    if hardware.device.type == "cuda":
        result["peak_megabytes"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return result | {
        "microseconds": round(median(laps[1:]) * 1e6),
        "most_microseconds": round(max(laps[1:]) * 1e6),
        "precision": hardware.precision,
        "laps": len(laps) - 1,
    }


def measure_peer(typed: list[str], seconds: float) -> dict[str, Any]:
    """Hugging Face's Trainer on an encoder of the same size and on the texts of our batches."""
    from transformers import BertConfig, BertForSequenceClassification, TrainerCallback, TrainingArguments
    from transformers import Trainer as Peer

    config: Any = compose([*typed, "tracker=none"]).config
    made = Experiment.of(config)
    batches = training_batches(made.task, made.dataset, 0)
    rows = [
        {"input_ids": ids[mask], "labels": label}
        for batch in (next(batches) for _ in range(100))
        for ids, mask, label in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)
    ]
    size = {name: config["model"][name] for name in ("hidden_size", "intermediate_size")}
    depth = {
        "num_hidden_layers": config["model"]["num_layers"],
        "num_attention_heads": config["model"]["num_heads"],
    }
    vocabulary = made.task.model.tokenizer.get_vocab_size()
    model = BertForSequenceClassification(BertConfig(vocab_size=vocabulary, **size, **depth))
    stamps: list[float] = []

    class Clock(TrainerCallback):
        def on_log(self, *_: Any, **__: Any) -> None:
            wait(made.hardware.device)
            stamps.append(time.perf_counter())

    def collate(some: list[dict[str, Any]]) -> dict[str, Any]:
        ids = torch.nn.utils.rnn.pad_sequence([row["input_ids"] for row in some], batch_first=True)
        return {
            "input_ids": ids,
            "attention_mask": ids != 0,
            "labels": torch.stack([r["labels"] for r in some]),
        }

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=LAP * (LAPS + 1), per_device_train_batch_size=32, bf16=True,
            optim="adamw_torch_fused", logging_steps=LAP, save_strategy="no", report_to="none",
            disable_tqdm=True, use_cpu=made.hardware.device.type == "cpu", dataloader_num_workers=2,
        )  # fmt: skip
        Peer(
            model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]
        ).train()
    laps = [(after - before) / LAP for before, after in itertools.pairwise(stamps)]
    return {
        "microseconds": round(median(laps) * 1e6),
        "most_microseconds": round(max(laps) * 1e6),
        "waits_per_step": float("nan"),
        "transformers": version("transformers"),
        "laps": len(laps),
    }


def attempt(typed: list[str], seconds: float, *, is_peer: bool = False) -> dict[str, Any]:
    """The measurement, or why there is none."""
    try:
        return (measure_peer if is_peer else measure)(typed, seconds)
    except AiexpError as error:
        return {"error": str(error)}
    except Exception as error:  # a compiler's: the next variant goes on
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}


def run_tests() -> dict[str, Any]:
    """Every test that needs a GPU, and how many went which way."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-m", "gpu", "-n", "0", f"--junitxml={report}", "tests"]
        start = time.perf_counter()
        ended = subprocess.run([sys.executable, *command], check=False)
        suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return counts | {"exit_code": ended.returncode, "seconds": round(time.perf_counter() - start)}


def row(case: str, results: dict[str, dict[str, Any]]) -> str:
    cells: list[str] = []
    for variant in VARIANTS:
        one = results.get(variant)
        if one is None:
            cells.append(f"{'-':>18}")
        elif "error" in one:
            cells.append(f"{'failed':>18}")
        else:
            cells.append(f"{one['microseconds']:>10} us {one['waits_per_step']:>4g}")
    return f"{case:18}" + "".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--hardware", default="gpu", choices=["gpu", "cpu"])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seconds", type=float, default=8.0, help="of each case in each variant")
    parser.add_argument("--tests", action="store_true", help="first run every test that needs a GPU")
    arguments = parser.parse_args()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    result: dict[str, Any] = {"torch": torch.__version__, "gpu": gpu, "cases": {}}
    if arguments.tests:
        result["tests"] = run_tests()
    print(f"torch {torch.__version__}, {gpu}; microseconds a step, and waits for the GPU")
    print(f"{'':18}" + "".join(f"{v:>18}" for v in VARIANTS))
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.cases:
            typed = [*overrides(Path(folder), case), f"hardware={arguments.hardware}"]
            results = result["cases"][case] = {}
            for variant in arguments.variants:
                if variant == "peer" and case != "bert_base":
                    continue
                named = [*typed, *VARIANTS[variant]]
                results[variant] = attempt(named, arguments.seconds, is_peer=variant == "peer")
                write_json(arguments.json, result)
            print(row(case, results), flush=True)
            for variant, one in results.items():
                if "error" in one:
                    print(f"    {variant}: {one['error']}")
    sys.exit(
        0 if all("error" not in one for case in result["cases"].values() for one in case.values()) else 1
    )


if __name__ == "__main__":
    main()
