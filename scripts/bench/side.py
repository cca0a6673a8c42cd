"""What the benchmarks share: each side of a comparison is a process of its own, idle until it is asked."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Headings of `docs/benchmarks.md`, in its order.
LOOP, TEXT, IMAGES = "The runner", "Texts", "Pictures"
AGENTS, FEW_SHOT = "Agents", "Few-shot and meta-learning"
DATA, USE, COMPARING = "Data beyond memory", "Using what was learned", "Sweeps and comparison"
FIELDS = (LOOP, TEXT, IMAGES, AGENTS, FEW_SHOT, DATA, USE, COMPARING)


class Worker:
    """A side in its own process: `command` must call `serve`."""

    def __init__(self, command: list[str], data: str | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        if data is not None:
            self.input.write(data + "\n")
            self.input.flush()
        if self.output.readline() != "ready\n":
            raise SystemExit(f"a side did not start; try: {' '.join(command)}")

    def ask(self, what: str) -> Any:
        self.input.write(what + "\n")
        self.input.flush()
        return json.loads(self.output.readline())

    def close(self) -> None:
        self.input.close()
        self.process.wait()


def make_parser(
    description: str | None, sides: Iterable[str], *, rounds: int | None = None, needs_all: bool = False
) -> argparse.ArgumentParser:
    """The options of a comparison.

    Args:
        description: The benchmark's docstring.
        sides: Names of the sides, each of which is also what a worker is.
        rounds: How many are counted by default; None where there are none.
        needs_all: Whether no side can be left out.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="counted rounds")
    if not needs_all:
        parser.add_argument("--sides", nargs="+", choices=list(sides), default=list(sides))
    parser.add_argument("--worker", choices=list(sides), help=argparse.SUPPRESS)
    return parser


def ask_in_turn(workers: dict[str, Worker], what: str, rounds: int) -> dict[str, list[float]]:
    """Each side's answers in every counted round, forwards and backwards in turn; ends the sides.

    The first round warms up and is not counted.
    """
    answers: dict[str, list[float]] = {side: [] for side in workers}
    for number in range(rounds + 1):
        order = list(workers.items())
        for side, worker in order if number % 2 else order[::-1]:
            answer = worker.ask(what)
            if number:
                answers[side].append(answer)
        sys.stderr.write(f"round {number} of {rounds} done\n")
    for worker in workers.values():
        worker.close()
    return answers


def serve(make_actions: Callable[[], dict[str, Callable[[], Any]]]) -> None:
    """Answers each line, the name of an action, with its result as JSON, until the input ends."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        actions = make_actions()
        answers.write("ready\n")
        answers.flush()
        for line in sys.stdin:
            answers.write(json.dumps(actions[line.strip()]()) + "\n")
            answers.flush()


class TrainOnly:
    """A data set whose other splits are hidden, so that `fit` trains and does nothing else."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dataset, name)

    def num_examples(self, split: str) -> int:
        return self.dataset.num_examples(split) if split == "train" else 0


def compose_ours(overrides: list[str]) -> tuple[Any, Any]:
    """The shipped config with overrides, and its hardware, started."""
    from aiexp.config.compose import compose
    from aiexp.config.objects.build import build

    quiet = ["tracker=none", "trainer.log_every=1000000", "trainer.checkpoint.every=1000000"]
    config = compose([*overrides, *quiet]).config
    hardware = build(config["hardware"])
    hardware.set_environment()
    hardware.start()
    return config, hardware


def fit_seconds(config: Any, task: Any, dataset: Any, hardware: Any) -> float:
    """Seconds of the training steps of one `fit` of the config's trainer, in a throw-away run directory."""
    from aiexp.config.objects.build import build
    from aiexp.rundir.directory import RunDirectory
    from aiexp.session.session import Session

    trainer = build(config["trainer"])
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory.create(Path(folder), "")
        directory.write_config({"seed": 0}, {}, [])
        with Session(directory, directory.read_config()) as session:
            trainer.fit(task, TrainOnly(dataset), hardware, session)
        lines = (directory.path / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    step_seconds = next(r["time/step_seconds"] for r in reversed(rows) if "time/step_seconds" in r)
    return step_seconds * trainer.total_steps(dataset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One line of `docs/benchmarks.md`, made of a benchmark's numbers by its `claims`.

    Args:
        field: The heading it stands under.
        what: Is measured, against whom.
        measured: The number, its unit, and the ratio to the peer where there is one.
        goal: As it was set; "" for none.
        is_met: Whether it is reached; None without a goal.
    """

    field: str
    what: str
    measured: str
    goal: str = ""
    is_met: bool | None = None


def ratio_claim(field: str, what: str, measured: str, ratio: float, goal: float) -> Claim:
    """A claim to be so many times as fast as a peer."""
    return Claim(field=field, what=what, measured=measured, goal=f"{goal:g}x", is_met=ratio >= goal)


def write_json(path: Path | None, result: dict[str, Any], *peers: str) -> None:
    """Writes the numbers where asked, with what `docs/benchmarks.md` says of how they came about.

    Args:
        path: None: nowhere.
        result: The benchmark's own numbers.
        peers: Distributions that were measured too, where they are installed; torch always is.
    """
    if path is None:
        return
    measured = {
        "date": date.today().isoformat(), "command": command(), "processor": processor(),
        "cores": len(os.sched_getaffinity(0)), "commit": commit(),
        "versions": {name: found for name in ("torch", *peers) if (found := version_of(name))},
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"measured": measured, **result}, indent=1) + "\n")


def command() -> str:
    """What was typed, without where it is written to."""
    words = [f"scripts/bench/{Path(sys.argv[0]).name}"]
    for before, word in zip(sys.argv, sys.argv[1:], strict=False):
        if "--json" not in (before, word) and not word.startswith("--json="):
            words.append(word)
    return shlex.join(words)


def version_of(name: str) -> str | None:
    """Of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """As the system names it, and whether it multiplies bfloat16 matrices in hardware."""
    try:
        facts = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*: (.*)", facts)
    units = [unit for unit in ("amx_bf16", "avx512_bf16") if f" {unit}" in facts]
    return " with ".join([name[1].strip() if name else platform.machine(), *units[:1]])


def commit() -> str:
    """Of the code that was measured; "+" where files were changed since."""
    git = ["git", "-C", str(Path(__file__).parent)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout
    return name.strip() + ("+" if changed else "")
