"""One sweep with real training: the numbers of single runs, complete directories, a parent without torch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.rundir.metrics import read_metrics
from tests.forks import in_fork

TINY = [
    "model=bert_tiny", "model.hidden_size=32", "model.intermediate_size=64", "dataset=text_files",
    "dataset.train_file=texts.csv", "dataset.batch_size=8", "tracker=none", "hardware.precision=fp32",
    "trainer.log_every=3", "trainer.steps=6", "trainer.epochs=null",
]  # fmt: skip
PROGRAM = """
import sys
from aiexp.cli import main
if __name__ == "__main__":
    code = main(sys.argv[1:])
    print(sorted(m for m in ("torch", "transformers", "wandb", "sklearn", "optuna") if m in sys.modules))
    sys.exit(code)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        rows = [(f"{['dull and weak', 'warm and great'][i % 2]} film {i}", "np"[i % 2]) for i in range(90)]
        csv.writer(file).writerows([("text", "label"), *rows])
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(run: Path) -> list[dict[str, Any]]:
    lines = read_metrics(run / "metrics.jsonl")
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def test_jobs_are_what_single_runs_are(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    words = ["run", "-m", *TINY, "seed=0,1", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(
        [sys.executable, "program.py", *words], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    *table, imported = done.stdout.splitlines()
    assert imported == "[]", "the process of the sweep imports nothing heavy"
    assert table[0].startswith("eval/accuracy"), (
        "jobs print to their logs; what is printed is how they compare"
    )
    assert "job 0 finished" in done.stderr
    assert "best eval/accuracy" in done.stderr
    (sweep,) = (folder / "outputs/bert_finetune").iterdir()
    threads = max(len(os.sched_getaffinity(0)) // 2, 1)
    for index in (0, 1):
        (run,) = sweep.glob(f"*_{index:03d}_seed-{index}_*")
        environment_file = json.loads((run / "environment.json").read_text())
        assert environment_file["sweep"] == sweep.name
        assert environment_file["hardware"]["threads"] == threads
        assert "test/accuracy" in (sweep / f"logs/{index:03d}.log").read_text()
        assert (run / "figures/test").is_dir()
    words = ["run", *TINY, "seed=1", "outputs=single", f"hardware.threads={threads}"]
    single = in_fork(lambda: cli.main(words), folder, seconds=120)
    assert single.code == 0, single.stderr
    (alone,) = (folder / "single/bert_finetune").iterdir()
    assert numbers(run) == numbers(alone)


def test_check_lists_every_job_and_adds_up_their_time(folder: Path) -> None:
    words = ["check", "-m", *TINY, "seed=0,1", "dataset.batch_size=8,16", "trainer.steps=50,100"]
    ended = in_fork(lambda: cli.main(words), folder, seconds=120)
    assert ended.code == 0, ended.stderr
    jobs = [line.split() for line in ended.stdout.splitlines() if line.startswith("job ")]
    assert [int(words[1]) for words in jobs] == list(range(8))
    assert jobs[7][-3:] == ["dataset.batch_size=16", "trainer.steps=100", "seed=1"]
    assert ended.stdout.count("probe ") == 1, "one measurement for jobs with the same groups"
    assert "8 jobs" in ended.stdout.splitlines()[-1]
    assert not (folder / "outputs").exists()
    wrong = in_fork(lambda: cli.main(["check", "-m", *TINY, "seed=0,x"]), folder, seconds=120)
    assert (wrong.code, wrong.stdout) == (2, "")


def bill_of(total_steps: int, step_seconds: float) -> Any:
    from aiexp.command.checking.bill import Bill

    return Bill(
        total_steps=total_steps, step_seconds=step_seconds, num_parameters=1, examples={}, metrics=[],
        peak_memory_bytes=1,
    )  # fmt: skip


def test_check_adds_up_the_hours_of_all_devices(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second a step with the whole batch: 50 s and 25 s of two devices, on two machines each."""
    from aiexp.command.checking import check_sweep

    monkeypatch.chdir(folder)
    measured: list[int] = []

    def check(config: Any, *, nodes: int) -> object:
        measured.append(nodes)
        return bill_of(3600, 1.0)

    monkeypatch.setattr(check_sweep, "check", check)
    words = [*TINY, "hardware=cpu", "hardware.devices=1,2", "trainer.steps=3600"]
    cluster = ["hydra/launcher=submitit_local", "hydra.launcher.parameters.nodes=2"]
    found = check_sweep.check_sweep_jobs([*words, *cluster], config_dir=None)
    assert [one["seconds"] for one in found["jobs"]] == [3600, 1800]
    assert measured == [2]
    one, two, total = capsys.readouterr().out.splitlines()[-3:]
    assert one.split()[2:4] == ["60", "min"], one
    assert two.split()[2:4] == ["30", "min"], two
    assert ", 4 device-hours, evaluations besides" in total


def test_estimates_grow_with_steps_and_batches() -> None:
    from omegaconf import OmegaConf

    from aiexp.command.checking.check_sweep import estimate, whole

    def config(**trainer: Any) -> Any:
        batch = trainer.pop("batch_size", 10)
        return OmegaConf.create({"dataset": {"batch_size": batch}, "trainer": trainer})

    bill = bill_of(100, 0.5)
    probed = config(epochs=1, steps=None, accumulate=1)
    assert estimate(probed, bill, probed) == 50
    assert estimate(config(epochs=3, steps=None, accumulate=1), bill, probed) == 150
    assert estimate(config(epochs=1, steps=None, accumulate=1, batch_size=20), bill, probed) == 50
    assert estimate(config(epochs=None, steps=10, accumulate=1, batch_size=20), bill, probed) == 10
    assert estimate(config(epochs=None, steps=10, accumulate=4), bill, probed) == 20
    assert whole([3, 1, 1, 1], 2) == 3
    assert whole([1, 1, 1, 3], 2) == 4
    assert whole([2, 2], 1) == 4
