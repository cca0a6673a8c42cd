"""`aiexp check`: the same experiment as `aiexp run`, and with --resume the whole contract."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from aiexp import cli
from tests.forks import Ended, in_fork
from tests.lab import forget_own_code

SMALL = [
    "dataset=sinusoids", "dataset.num_tasks=40", "dataset.batch_size=4", "hardware.threads=1", "hardware=cpu",
    "tracker=none", "trainer.epochs=null", "trainer.steps=4", "trainer.selection.monitor=null",
]  # fmt: skip
CODE = """
import torch
from torch import nn
from aiexp.task.report import Evaluation
from aiexp.task.base import Task, Update

class Mine(Task):
    def __init__(self, *, model, dataset):
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.rates = [x.item() for x in torch.linspace(0.1, 0.2, 3)]

    def train_step(self, batch):
        yield Update(loss=self.network(batch["query_x"]).square().mean() * self.factor())

    def factor(self):
        return self.rates[0]

    def make_optimizers(self):
        return {"model": torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)}

class Forgets(Mine):
    def factor(self):
        self.count = getattr(self, "count", 0) + 1
        return self.count

class Squares(Mine):
    def make_optimizers(self):
        return {"model": torch.optim.LBFGS(self.parameters())}

class Large(Mine):
    def __init__(self, *, model, dataset):
        super().__init__(model=model, dataset=dataset)
        self.unused = nn.Parameter(torch.zeros(2**20))

class Breaks(Mine):
    def describe(self):
        return {"rates": torch.tensor(self.rates)}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with tasks of the user's own, which need no model."""
    (tmp_path / "my_lab.py").write_text(CODE)
    (tmp_path / "conf/task").mkdir(parents=True)
    for name in ("Mine", "Forgets", "Squares", "Large", "Breaks"):
        text = f"# {name}\ndefaults: [override /model: null, _self_]\n_target_: my_lab.{name}\n"
        (tmp_path / f"conf/task/{name.lower()}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    forget_own_code(monkeypatch)
    return tmp_path


def aiexp(folder: Path, *words: str) -> Ended:
    return in_fork(lambda: cli.main(list(words)), folder, seconds=100)


def test_check_and_run_agree_on_a_task_of_ones_own(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=mine", *SMALL, "--resume")
    assert ended.code == 0, ended.stderr
    assert "3 steps further everything is equal" in ended.stdout
    assert not (folder / "outputs").exists()
    run = aiexp(folder, "run", "task=mine", *SMALL)
    assert run.code == 0, run.stderr
    parameters = json.loads((folder / "outputs/latest/environment.json").read_text())["parameters"]
    assert re.search(r"model +([\d,]+) parameters", ended.stdout)[1] == f"{parameters:,}"  # pyright: ignore


def test_what_a_task_forgets_is_one_line_that_names_its_code(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=forgets", *SMALL, "--resume")
    assert ended.code == 2
    first = ended.stderr.splitlines()[0]
    assert "Forgets.train_step comes to other weights" in first
    assert "not restored: task.count" in first
    assert "my_lab.py:" in first
    assert aiexp(folder, "check", "task=forgets", *SMALL).code == 0


def test_a_breach_is_found_before_the_first_step(folder: Path) -> None:
    for command in ("check", "run"):
        ended = aiexp(folder, command, "task=breaks", *SMALL)
        assert ended.code == 2
        assert "Breaks.describe is not JSON" in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_the_memory_it_names_is_what_adam_holds(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=large", *SMALL)
    weights = nn.Parameter(torch.zeros(2**20 + 2))
    weights.grad = torch.zeros_like(weights)
    adam = torch.optim.Adam([weights])
    adam.step()
    held = [weights, weights.grad, *adam.state[weights].values()]
    mebibytes = sum(tensor.nbytes for tensor in held) / 2**20
    assert f"1,048,578 parameters, {mebibytes:.0f} MiB with" in ended.stdout, ended.stderr


def test_a_shipped_task_passes(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=maml_sine", *SMALL, "--resume")
    assert ended.code == 0, ended.stderr
    assert "everything is equal" in ended.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task=mine", *SMALL[3:], "~dataset"], "needs a data set"),
        (["task=maml_sine", *SMALL[1:], "dataset=null"], "dataset"),
        (["task=dqn_cartpole", "model=sine_mlp", "hardware=cpu"], "takes models for reinforcement learning"),
        (["task=maml_sine", *SMALL[1:], "model.input_size=2"], "the model does not fit the data"),
        (
            ["task=squares", *SMALL],
            "Squares.make_optimizers uses LBFGS",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(folder: Path, words: list[str], expected: str) -> None:
    ended = aiexp(folder, "check", *words)
    assert ended.code == 2, ended.stderr
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_of_several_ranks_it_says_what_one_has_to_hold(folder: Path) -> None:
    """On any machine, and what a rank would do with its rows can be resumed too."""
    ended = aiexp(folder, "check", "task=large", *SMALL, "hardware.devices=4", "--resume")
    assert ended.code == 0, ended.stderr
    lines = ended.stdout.splitlines()
    at = lines.index("rank      1 of 4 by ddp: 1 of 4 rows of each batch, timed without the others")
    assert lines[at + 1] == "          8.0 MiB: weights 4.0, gradients 4.0, moments 0.0, batch 0.0"
    refused = aiexp(folder, "check", "task=dqn_cartpole", "hardware=cpu", "hardware.devices=3")
    assert refused.code == 2
    assert "dataset.batch_size=64 cannot be shared out evenly among 3 ranks" in refused.stderr


def test_numbers_for_programs_and_the_rates(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=mine", *SMALL, "--format", "json", "--find-lr")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["total_steps"], found["num_parameters"]) == (4, 2)
    assert found["metrics"] == ["eval/loss"]
    assert found["examples"]["train"] > 0
    assert found["seconds"] == pytest.approx(4 * found["step_seconds"])
    assert "steps     4 of" in ended.stderr
    rate = found["learning_rate"]
    # Of a loss w^2 x^2 by SGD with momentum: smaller rates do nothing, from about 1 on it explodes.
    assert 1e-3 < rate["steepest"] < rate["smallest"] < 1.0
    assert rate["losses"][-1] > rate["losses"][0]


def test_rates_are_looked_for_in_one_job(folder: Path) -> None:
    ended = aiexp(folder, "check", "-m", "task=mine", *SMALL, "seed=0,1", "--find-lr")
    assert ended.code == 2
    assert "leave out -m" in ended.stderr
