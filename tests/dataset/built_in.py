"""What the built-in conf/dataset says, for constructors called by hand."""

from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[2] / "conf" / "dataset"


def values_of(name: str) -> dict[str, Any]:
    """The arguments that a file and the one it builds on give, with seed 0."""
    values: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text("utf-8"))
    base, *_ = values.pop("defaults", [None])
    below = values_of(base) if base else {}
    values.pop("_target_", None)
    return {**below, **values, "seed": 0}


def header_of(name: str) -> str:
    """The comment at the top of a file."""
    lines = (CONF / f"{name}.yaml").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))
