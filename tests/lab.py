"""A user's folder: conf/ with one option of each group, and the code they name."""

# ruff: noqa: E501 (file contents)

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aiexp

HEAVY = ("torch", "transformers", "torchvision", "wandb", "sklearn", "matplotlib", "datasets", "gymnasium")

FILES = {
    "conf/aiexp.yaml": """
defaults: [_self_, {hardware: toy}, {trainer: toy}, {tracker: toy}, {dataset: null}, {model: null}, {task: toy},
           {override hydra/job_logging: none}, {override hydra/hydra_logging: none}]
seed: 0
outputs: outputs
hydra: {output_subdir: null, run: {dir: .}, sweep: {dir: ., subdir: .}, job: {name: aiexp, chdir: false}}
""",
    "conf/task/toy.yaml": """
# Toy task
# Time: a second
defaults: [override /model: small, override /dataset: numbers, override /trainer: toy, _self_]
_target_: my_lab.parts.Task
optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}
dropout: 0.0
names: [a, b]
reference: {metric: eval/loss, value: 1.0, tolerance: 0.1, source: measured}
""",
    "conf/task/other.yaml": "# Other task\n_target_: my_lab.parts.Other\ngamma: 0.9\n",
    "conf/model/small.yaml": "# Small\n_target_: my_lab.parts.Model\nwidth: 4\nactivation: relu\n",
    "conf/model/large.yaml": "# Large\ndefaults: [small, _self_]\nwidth: 64\n",
    "conf/model/unnamed.yaml": "# Needs a width\n_target_: my_lab.parts.Model\nwidth: ???\nactivation: relu\n",
    "conf/dataset/numbers.yaml": "# Numbers\n_target_: my_lab.parts.Data\nseed: ${seed}\nbatch_size: 2\n",
    "conf/trainer/toy.yaml": "# Toy\n_target_: my_lab.parts.Trainer\nsteps: 10\nclip: null\n",
    "conf/hardware/toy.yaml": "# Toy\n_target_: my_lab.parts.Hardware\ndevice: cpu\n",
    "conf/tracker/toy.yaml": "# Toy\n_target_: my_lab.parts.Tracker\n",
    "my_lab/__init__.py": "import os\nfrom my_lab.parts import Model as Renamed\n",
    "my_lab/parts.py": """
import pathlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Activation = Literal["relu", "gelu"]

class Base:
    def __init__(self, *, gamma: float) -> None:
        self.gamma = gamma

class Other(Base):
    pass

class Task:
    def __init__(self, *, model: Any, dataset: Any, optimizer: Callable[..., Any], dropout: float,
                 names: list[str], extra: int = 3, layers: "list[Model] | None" = None) -> None:
        self.__dict__.update(locals())

@dataclass(kw_only=True)
class Model:
    width: int
    activation: Activation
    bias: bool = True
    shape: tuple[int, int] | None = None

@dataclass(kw_only=True)
class Data:
    seed: int
    batch_size: int

class Trainer:
    def __init__(self, *, steps: int | None, clip: float | None, schedule: "Schedule | None" = None) -> None:
        self.steps = steps

@dataclass
class Schedule:
    warmup: float = 0.0

@dataclass
class Hardware:
    device: str

class Tracker:
    def __init__(self) -> None: ...

    @classmethod
    def quiet(cls) -> "Tracker":
        return cls()

    def remove_everything(self) -> None: ...

def make_model(width: int) -> Model:
    return Model(width=width, activation="relu")
""",
}


class Lab:
    """The folder, as the working directory of this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return path

    def files(self) -> set[str]:
        return {
            p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if "__pycache__" not in p.parts
        }

    def aiexp(self, *words: str, program: str = "") -> subprocess.CompletedProcess[str]:
        """`aiexp words` in a process of its own; `program` runs before it, in the same process."""
        code = f"{program}\nimport sys\nfrom aiexp.cli import main\nsys.exit(main({list(words)!r}))"
        return self._run("-c", code)

    def program(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`python -m aiexp words`."""
        return self._run("-m", "aiexp", *words)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        hidden = ("AIEXP_", "PYTHONSAFEPATH")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        environment["PYTHONPATH"] = str(Path(aiexp.__file__).parent.parent)
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )


def make_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A new folder; undone with `monkeypatch`."""
    lab = Lab(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [m for m in sys.modules if m.split(".")[0] == "my_lab"]:
        monkeypatch.delitem(sys.modules, name)
    return lab


def forget_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets go of `my_lab` of another test's folder, and of that folder."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "pytest-of-" not in path])
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        monkeypatch.delitem(sys.modules, name)
