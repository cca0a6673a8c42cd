"""Weights of a sweep on own code: a card with intervals over its seeds, and a task without the runs."""

import json
import os
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aiexp import cli
from aiexp.errors import AiexpError
from aiexp.runs.loaded import load_run
from aiexp.use.exporting.export import Request, export
from aiexp.use.exporting.weights_form import load_weights
from tests.forks import Ended, in_fork

SWEEP = [
    "run", "-m", "seed=0,1,2", "task=maml_sine", "trainer.steps=2", "dataset.num_tasks=2",
    "trainer.log_every=1", "trainer.evaluate_every=2", "tracker=none", "hardware.threads=1",
    "hardware.precision=fp32", "model._target_=my_code.nets.Net",
]  # fmt: skip
NET = """
from aiexp.model.few_shot.sine_mlp import SineMlp
import helpers
class Net(SineMlp):
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs) * helpers.SCALE
"""
STUDENT_OF_2 = 4.302653  # 97.5 % of Student's distribution with 2 degrees of freedom


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported weights of one of three runs, whose code is gone, and the runs."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "my_code").mkdir()
    (folder / "my_code" / "__init__.py").touch()
    (folder / "my_code" / "nets.py").write_text(NET)
    (folder / "helpers.py").write_text("SCALE = 2\n")

    def train() -> int:
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        os.chdir(folder)
        code = cli.main(SWEEP)
        run = load_run(runs_of(folder)[0])
        export(run, Request(form="weights", out=folder / "weights"), lambda _: None)
        network = run.task.networks()["learner"].module
        torch.save(network(torch.ones(1, 1)), folder / "answer.pt")
        return code

    ended = in_fork(train, folder, seconds=120)
    assert ended.code == 0, ended.stderr
    shutil.rmtree(folder / "my_code")
    (folder / "helpers.py").unlink()
    return folder


def runs_of(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("outputs/**/status.json"))


def test_the_card_has_the_mean_and_the_interval_over_the_seeds(made: Path) -> None:
    metrics = [json.loads((run / "status.json").read_text())["metrics"] for run in runs_of(made)]
    assert len(metrics) == 3
    card = (made / "weights" / "README.md").read_text()
    assert "| metric | this run | mean of 3 seeds | 95 % interval |" in card
    assert "One run only" not in card
    rows = dict(re.findall(r"^\| (test/\S+) \| (.*) \|$", card, re.MULTILINE))
    names = [name for name in metrics[0] if name.startswith("test/")]
    assert list(rows) == names
    for name in names:
        scores = [float(one[name]) for one in metrics]
        middle = statistics.mean(scores)
        half = STUDENT_OF_2 * statistics.stdev(scores) / 3**0.5
        own, mean, interval = rows[name].split(" | ")
        assert float(own) == pytest.approx(scores[0], abs=1e-4)
        assert float(mean) == pytest.approx(middle, abs=1e-4)
        assert [float(end) for end in interval.split(" to ")] == pytest.approx(
            [middle - half, middle + half], abs=2e-4
        )


def in_another_folder(made: Path, tmp_path: Path, config: Path, trust: str = "") -> tuple[Ended, Path]:
    """Loads the weights, moved away from the runs, as another program does."""
    folder = shutil.copytree(made / "weights", tmp_path / "weights")
    here = tmp_path / "here"
    here.mkdir()

    def body() -> int:
        os.environ["XDG_CONFIG_HOME"], os.environ["AIEXP_TRUST"] = str(config), trust
        os.chdir(here)
        try:
            network = load_weights(folder).networks()["learner"].module
        except AiexpError as error:
            print(error.line())
            return error.exit_code
        torch.save(network(torch.ones(1, 1)), here / "answer.pt")
        return 0

    run: Callable[[], int] = body
    return in_fork(run, here, seconds=60), here


@pytest.mark.parametrize(("whose", "trust"), [("config", ""), ("another", "my_code,helpers")])
def test_weights_on_own_code_are_a_task_again_elsewhere(
    made: Path, tmp_path: Path, whose: str, trust: str
) -> None:
    ended, here = in_another_folder(made, tmp_path, made / whose, trust)
    assert ended.code == 0, ended.stdout + ended.stderr
    answer, wanted = (torch.load(folder / "answer.pt") for folder in (here, made))
    assert torch.equal(answer, wanted)


def test_somebody_elses_code_is_refused_unless_it_is_trusted(made: Path, tmp_path: Path) -> None:
    ended, _ = in_another_folder(made, tmp_path, made / "another")
    assert ended.code in (2, 10)
    assert "my_code" in ended.stdout
    assert "--trust my_code" in ended.stdout
