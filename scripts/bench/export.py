"""Exported networks beside the task itself: difference, size, time of an input and of 32, accuracy in 8 bits.

    .venv/bin/python scripts/bench/export.py RUN... [--json FILE]
    .venv/bin/python scripts/bench/export.py --tasks mnist_cnn,bert_finetune [--steps 20]

The second trains short runs first. The peer is eager PyTorch: the task's own network under inference mode on
as many threads. The sides take turns in one process; a round is the median of a side's calls, the table has
the median of the rounds.
`differs` is the largest difference over 32 examples of the run's data and made-up inputs of other sizes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS, SIZES = 5, (1, 32)


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
    subprocess.run([sys.executable, "-m", "aiexp", *words], cwd=folder, check=True, stdout=sys.stderr)
    return (folder / "outputs/latest").resolve()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--tasks", default="", help="names of tasks to train for some steps")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = [train(task, args.steps, folder) for task in args.tasks.split(",") if task]
        for number, run in enumerate([*args.runs, *trained]):
            rows += measure(run, folder / str(number))
    import torch

    print(f"{torch.get_num_threads()} threads; columns: differs, MB fp32, int8, share; accuracy fp32, int8;")
    print(f"milliseconds of an input and of {SIZES[1]}, by side")
    for row in rows:
        print(show(row))
    if args.json:
        versions = {name: version(name) for name in ("torch", "onnx", "onnxruntime", "onnxscript")}
        found = {"threads": torch.get_num_threads(), "versions": versions, "rows": rows}
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
