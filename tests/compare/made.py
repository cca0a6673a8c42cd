"""Run directories made by hand: what `aiexp compare` reads, without training."""

import json
from pathlib import Path
from typing import Any

import yaml

from aiexp.config.dotted import flatten

CONFIG: dict[str, Any] = {
    "seed": 0,
    "outputs": "outputs",
    "hardware": {
        "_target_": "aiexp.hardware.hardware.Hardware",
        "device": "auto",
        "precision": "auto",
        "threads": 2,
    },
    "trainer": {"steps": 100, "selection": {"monitor": "eval/accuracy", "mode": "max"}, "log_every": 10},
    "tracker": {"_target_": "aiexp.tracker.none.NullTracker"},
    "dataset": {"_target_": "lab.Data", "seed": 0, "limit": None},
    "model": {"_target_": "lab.Model", "widths": [4, 8], "dropout": 0.1},
    "task": {
        "_target_": "lab.Task",
        "optimizer": {"lr": 0.01, "betas": [0.9, 0.999]},
        "reference": {"metric": "test/accuracy", "value": 0.9},
    },
}
CHOICES = {"task": "toy", "model": "small", "dataset": "points", "hardware": "auto", "tracker": "none"}


def make_run(
    folder: Path,
    score: float | dict[str, float] | None,
    *typed: str,
    state: str = "finished",
    choices: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
    name: str = "",
) -> Path:
    """A run directory in `folder`.

    Args:
        folder: Made when missing.
        score: test/accuracy, or all metrics; None logs nothing.
        typed: `key=value`, put into the config and among the overrides; a value is YAML.
        state: Of status.json.
        choices: Changes of the options chosen.
        status: More of status.json.
        name: The directory's; a number if left out.
    """
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    for override in typed:
        key, _, value = override.partition("=")
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = yaml.safe_load(value)
    config["dataset"]["seed"] = config["seed"]  # as ${seed} does
    run = folder / (name or f"run_{len(list(folder.glob('*'))):03d}")
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    known = {"choices": CHOICES | (choices or {}), "overrides": list(typed)}
    (run / "overrides.yaml").write_text(yaml.safe_dump(known, sort_keys=False))
    metrics = score if isinstance(score, dict) else {} if score is None else {"test/accuracy": score}
    content = {
        "state": state,
        "started": f"2026-01-01T00:00:{len(list(folder.glob('*'))):02d}",
        "seconds": 90.0,
    }
    content |= {"error": None, "metrics": metrics, "peak_memory_bytes": 2**30} | (status or {})
    (run / "status.json").write_text(json.dumps(content))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, "train/loss": 1.0}) + "\n")
    hardware = {"device": "cpu", "device_name": "chip", "precision": "auto", "threads": 2}
    (run / "environment.json").write_text(json.dumps({"git": None, "hardware": hardware}, indent=2) + "\n")
    return run


def make_seeds(folder: Path, scores: list[float], *typed: str, **more: Any) -> list[Path]:
    """A run for each score, with seed=0, 1, ..."""
    return [make_run(folder, score, *typed, f"seed={i}", **more) for i, score in enumerate(scores)]


def flat(**changes: Any) -> dict[str, Any]:
    """The flat config of a run without overrides, with changes."""
    return flatten(CONFIG) | changes
