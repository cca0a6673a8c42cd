"""Exported networks beside the task itself: difference, size, time of an input and of 32, accuracy in 8 bits.

    .venv/bin/python scripts/bench/export.py RUN... [--json FILE]
    .venv/bin/python scripts/bench/export.py --tasks mnist_cnn,bert_finetune [--steps 20]
    .venv/bin/python scripts/bench/export.py --tasks all --differences

The second trains short runs first. The third has every shipped task, and only the differences, of both forms
of programs, as the table of docs/run_directory.md. The peer is eager PyTorch: the task's own network under
inference mode on as many threads. The sides take turns in one process; a round is the median of a side's
calls, the table has the median of the rounds.
`differs` is the largest difference over 32 examples of the run's data and made-up inputs of other sizes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from side import write_json

ROUNDS, SIZES = 5, (1, 32)
# What makes a short run of a task shorter, without another network: few examples to be evaluated on.
FEW_PICTURES = ["dataset.limit=256"]
FEW_EPISODES = ["dataset.num_episodes=20", "dataset.eval_batch_size=20"]
SHORTER = {
    "bert_finetune": ["dataset.limit=128"],
    "mnist_cnn": FEW_PICTURES,
    "cifar10_cnn": FEW_PICTURES,
    "cifar10_fast": [*FEW_PICTURES, "task.trunk.whitening_examples=200"],
    "transfer": FEW_PICTURES,
    "dcgan": ["task.quality.num_samples=200"],
    "cyclegan": ["dataset.limit=40"],
    "dqn_cartpole": [],
    "dqn_acrobot": [],
    "dqn_mountain_car": [],
    "maml_sine": [],
    "maml_fewshot": FEW_EPISODES,
    "reptile_fewshot": FEW_EPISODES,
    "protonet_fewshot": FEW_EPISODES,
}


def measure(path: Path, folder: Path) -> list[dict[str, Any]]:
    """A row for each network of a run."""
    from aiexp.runs.loaded import load_run
    from aiexp.use.exporting.examples import made_up
    from aiexp.use.exporting.export import Request, export
    from aiexp.use.exporting.onnx_form import OnnxRebuilt
    from aiexp.use.exporting.quantization import TIMED_SIZE, milliseconds
    from aiexp.use.exporting.weights_form import ModuleRebuilt

    run = load_run(path, say=print)
    made = export(run, Request(form="onnx", out=folder, quantize=True), print)
    record = json.loads((made / "export.json").read_text())
    rows: list[dict[str, Any]] = []
    for name, found in record["networks"].items():
        network = run.task.networks()[name]
        names = list(network.inputs)
        sides = {
            "eager": ModuleRebuilt(network.module),
            "onnx": OnnxRebuilt(made / f"{name}.onnx", names),
            "int8": OnnxRebuilt(made / f"{name}.int8.onnx", names),
        }
        times: dict[str, dict[int, list[float]]] = {side: {size: [] for size in SIZES} for side in sides}
        for _ in range(ROUNDS):
            for size in SIZES:
                case = [tensor[:size].contiguous() for tensor in made_up(network, TIMED_SIZE)]
                for side, rebuilt in sides.items():
                    times[side][size].append(milliseconds(rebuilt, case))
        sizes = [(made / f"{name}{end}").stat().st_size for end in (".onnx", ".int8.onnx")]
        rows.append(
            {
                "task": type(run.task).__name__,
                "model": type(getattr(run.task, "model", run.task)).__name__,
                "network": name,
                "differs": found["largest_difference"],
                "megabytes": [size / 1e6 for size in sizes],
                "accuracy": found["int8"]["accuracy"],
                "milliseconds": {
                    side: {size: median(values) for size, values in by_size.items()}
                    for side, by_size in times.items()
                },
            }
        )
    return rows


def differences(path: Path, folder: Path) -> list[dict[str, Any]]:
    """A row for each network of a run: how far its programs are from it."""
    from aiexp.runs.loaded import load_run
    from aiexp.use.exporting.export import Request, export

    rows: dict[str, dict[str, Any]] = {}
    for form in ("onnx", "torch_export"):
        run = load_run(path, say=print)
        made = export(run, Request(form=form, out=folder / form), print)
        for name, found in json.loads((made / "export.json").read_text())["networks"].items():
            choices, _ = run.directory.read_typed()
            row = rows.setdefault(
                name, {"task": choices["task"], "network": name, "tried_on": found["tried_on"]}
            )
            row[form] = found["largest_difference"]
    return list(rows.values())


def show_differences(rows: list[dict[str, Any]]) -> None:
    """The table as Markdown."""
    print("| task | network | tried on | ONNX Runtime | torch.export |\n|---|---|---|---|---|")
    for row in rows:
        print("| {task} | {network} | {tried_on} | {onnx:.1e} | {torch_export:.1e} |".format_map(row))


def show(row: dict[str, Any]) -> str:
    """A line of the table."""
    big, small = row["megabytes"]
    accuracy = "" if row["accuracy"] is None else "{:.4f} {:.4f}".format(*row["accuracy"])
    times = "  ".join(
        f"{side} {by_size[1]:8.2f} {by_size[32]:9.2f}" for side, by_size in row["milliseconds"].items()
    )
    where = f"{row['task']}.{row['network']} ({row['model']})"
    size = f"{big:7.1f} {small:6.1f} MB {small / big:4.0%}"
    return f"{where:44} {row['differs']:.1e}  {size}  {accuracy:13}  {times}"


def train(task: str, steps: int, folder: Path) -> Path:
    """A short run."""
    words = ["run", f"task={task}", f"trainer.steps={steps}", "trainer.epochs=null", "tracker=none"]
    words += SHORTER.get(task, [])
    subprocess.run([sys.executable, "-m", "aiexp", *words], cwd=folder, check=True, stdout=sys.stderr)
    return (folder / "outputs/latest").resolve()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--tasks", default="", help="names of tasks to train for some steps, or all")
    parser.add_argument("--differences", action="store_true", help="nothing else, in both forms of programs")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    tasks = list(SHORTER) if args.tasks == "all" else args.tasks.split(",")
    measured = differences if args.differences else measure
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = [train(task, args.steps, folder) for task in tasks if task]
        for number, run in enumerate([*args.runs, *trained]):
            rows += measured(run, folder / str(number))
    import torch

    if args.differences:
        show_differences(rows)
    else:
        print(
            f"{torch.get_num_threads()} threads; columns: differs, MB fp32, int8, share; accuracy fp32, int8;"
        )
        print(f"milliseconds of an input and of {SIZES[1]}, by side")
        for row in rows:
            print(show(row))
    result = {"threads": torch.get_num_threads(), "rows": rows}
    write_json(args.json, result, "onnx", "onnxruntime", "onnxscript")


if __name__ == "__main__":
    main()
