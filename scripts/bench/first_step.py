"""What the time from typing `aiexp run` to the first training step is made of, with data in the cache.

    .venv/bin/python scripts/bench/first_step.py [--json FILE] [KEY=VALUE ...]

One process, the real run; each line is the seconds since the interpreter started this file.
"""

import time

START = time.perf_counter()

import argparse  # noqa: E402
import importlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from side import Claim

MARKS: dict[str, float] = {}


def mark(what: str) -> None:
    MARKS[what] = time.perf_counter() - START
    print(f"{MARKS[what]:6.2f} s  {what}", flush=True)


def marking(owner: Any, name: str, label: str) -> None:
    """Makes a function say when it returned."""
    original: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        node = args[0] if name == "build" else {}
        mark(label + (str(node.get("_target_", "")) if isinstance(node, dict) else ""))
        return result

    setattr(owner, name, call)


def claims(result: dict[str, Any]) -> "list[Claim]":
    """For `docs/benchmarks.md`."""
    from side import LOOP, Claim

    marks = result["seconds_since_start"]
    steps = list(marks.items())
    parts = ", ".join(
        f"{name} {seconds - before:.1f}"
        for (name, seconds), (_, before) in zip(steps, [("", 0.0), *steps], strict=False)
        if name != "torch imported"
    )
    torch = marks["torch imported"] - marks["aiexp.run imported"]
    beyond = steps[-1][1] - torch
    return [
        Claim(
            field=LOOP,
            what="typing `aiexp run` to the first training step, data cached, beyond importing torch",
            measured=f"{beyond:.1f} s ({parts})",
            goal="5 s",
            is_met=beyond <= 5,
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("overrides", nargs="*", help="for example task=mnist_cnn")
    arguments = parser.parse_args()
    from aiexp.config.compose import compose

    folder = tempfile.mkdtemp()
    composed = compose([f"outputs={folder}", "tracker.mode=offline", *arguments.overrides])
    mark("config composed and checked")
    run: Any = importlib.import_module("aiexp.run")  # `aiexp.run` is the function of the Python interface

    marking(run, "make_directory", "run directory written")
    marking(run, "build", "built ")
    mark("aiexp.run imported")
    import torch  # noqa: F401

    mark("torch imported")
    from aiexp.session.session import Session
    from aiexp.trainer.loop import Loop
    from aiexp.trainer.stepper import Stepper

    marking(Session, "follow", "run described")
    marking(Loop, "check_metrics", "one batch evaluated (imports scikit-learn)")
    marking(Session, "begin", "trackers started")
    step = Stepper.step

    def first(self: Stepper, *args: Any) -> None:
        step(self, *args)
        mark("first step done")
        sys.stdout.flush()
        from side import write_json

        write_json(arguments.json, {"seconds_since_start": MARKS}, "transformers", "wandb")
        os._exit(0)

    Stepper.step = first
    run.run(composed)


if __name__ == "__main__":
    main()
