"""What the time from typing `aiexp run` to the first training step is made of, with data in the cache.

    .venv/bin/python scripts/bench/first_step.py [KEY=VALUE ...]

One process, the real run; each line is the seconds since the interpreter started this file.
"""

import time

START = time.perf_counter()

import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402


def mark(what: str) -> None:
    print(f"{time.perf_counter() - START:6.2f} s  {what}", flush=True)


def marking(owner: Any, name: str, label: str) -> None:
    """Makes a function say when it returned."""
    original: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        node = args[0] if name == "build" else {}
        mark(label + (str(node.get("_target_", "")) if isinstance(node, dict) else ""))
        return result

    setattr(owner, name, call)


def main() -> None:
    from aiexp.config.compose import compose

    folder = tempfile.mkdtemp()
    composed = compose([f"outputs={folder}", "tracker.mode=offline", *sys.argv[1:]])
    mark("config composed and checked")
    from aiexp import run

    marking(run, "make_directory", "run directory written")
    marking(run, "build", "built ")
    import torch  # noqa: F401

    mark("torch imported")
    from aiexp.session.session import Session
    from aiexp.trainer.stepper import Stepper
    from aiexp.trainer.trainer import Loop

    marking(Session, "follow", "W&B started")
    marking(Loop, "check_metrics", "one batch evaluated (imports scikit-learn)")
    step = Stepper.step

    def first(self: Stepper, *args: Any) -> None:
        step(self, *args)
        mark("first step done")
        sys.stdout.flush()
        os._exit(0)

    Stepper.step = first
    run.run(composed)


if __name__ == "__main__":
    main()
