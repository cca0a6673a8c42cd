"""The whole command on a tiny encoder and the user's own texts: what a newcomer sees and gets."""

import csv
import json
import math
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.rundir.named import run_id
from tests.endings import at_step
from tests.forks import Ended, in_fork

TINY = [
    "model=bert_tiny", "model.hidden_size=32", "model.intermediate_size=64", "dataset=text_files",
    "dataset.train_file=texts.csv", "dataset.batch_size=8", "tracker=none", "hardware.threads=1",
    "hardware.precision=fp32", "trainer.log_every=3",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file of texts."""
    rows = [
        (f"{['a dull and weak', 'a warm and great'][i % 2]} film number {i}", ["neg", "pos"][i % 2])
        for i in range(90)
    ]
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def aiexp(folder: Path, *words: str, before: Any = None) -> Ended:
    def body() -> int:
        sys.argv = ["aiexp", *words]
        if before is not None:
            before()
        return cli.main(list(words))

    return in_fork(body, folder, seconds=60)


def only_run(folder: Path) -> RunDirectory:
    (path,) = [p for p in (folder / "outputs/bert_finetune").iterdir() if p.is_dir() and p.name[0] != "."]
    return RunDirectory(path)


def numbers(directory: RunDirectory) -> list[dict[str, Any]]:
    lines = read_metrics(directory.path / "metrics.jsonl")
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def test_a_run_leaves_a_complete_directory(folder: Path) -> None:
    ended = aiexp(folder, "run", *TINY, "trainer.epochs=2")
    assert ended.code == 0, ended.stderr
    assert ended.stderr == ""
    directory = only_run(folder)
    for name in (
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "metrics.jsonl",
        "run.log",
        "status.json",
    ):
        assert (directory.path / name).stat().st_size > 0, name
    status = directory.read_json("status.json")
    assert (status["state"], status["exit_code"], status["step"]) == ("finished", 0, status["total_steps"])
    assert {"eval/accuracy", "test/accuracy", "test/macro_f1"} <= set(status["metrics"])
    environment = directory.read_json("environment.json")
    assert environment["hardware"]["device"] == "cpu"
    assert len(environment["dataset"]["fingerprint"]) == 64
    assert environment["packages"]["torch"]
    figures = {p.name for p in (directory.path / "figures/test").iterdir()}
    step = f"step-{status['step']:08d}"
    names = ("confusion_matrix_{}.png", "confusion_matrix_{}.pdf", "classes_{}.csv", "worst_errors_{}.csv")
    assert figures == {name.format(step) for name in names}
    assert {path.name for path in directory.path.glob("figures/*.*")} == {"curves.png", "curves.pdf"}
    config = yaml.safe_load((directory.path / "config.yaml").read_text())
    assert "${" not in (directory.path / "config.yaml").read_text()
    assert config["dataset"]["seed"] == config["seed"] == 0
    assert (folder / "outputs/latest").resolve() == directory.path.resolve()
    assert "finished" in ended.stdout
    assert "\x1b" not in ended.stdout, "colour codes although not a terminal"


def test_the_same_seed_gives_the_same_numbers_with_any_number_of_workers(folder: Path) -> None:
    results: list[list[dict[str, Any]]] = []
    for name, extra in (("a", []), ("b", []), ("c", ["dataset.num_workers=2"]), ("d", ["seed=1"])):
        ended = aiexp(
            folder, "run", *TINY, "trainer.steps=8", "trainer.epochs=null", f"outputs={name}", *extra
        )
        assert ended.code == 0, ended.stderr
        results.append(numbers(RunDirectory(next((folder / name / "bert_finetune").iterdir()))))
    assert results[0] == results[1] == results[2]
    assert results[3] != results[0]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGKILL, -9)],
)
def test_stop_and_resume_through_the_commands(folder: Path, number: int, code: int) -> None:
    words = ["run", *TINY, "trainer.steps=12", "trainer.epochs=null", "trainer.checkpoint.every=2"]
    assert aiexp(folder, *words, "outputs=whole").code == 0
    whole = RunDirectory(next((folder / "whole/bert_finetune").iterdir()))

    def stop_at_7() -> None:
        at_step(7, lambda: os.kill(os.getpid(), number))

    ended = aiexp(folder, *words, before=stop_at_7)
    assert ended.code == code
    directory = only_run(folder)
    if code > 0:
        assert f"saved; continue with: aiexp resume {run_id(directory.path)}" in ended.stderr
    assert aiexp(folder, "doctor", "outputs/latest").code == (0 if code > 0 else 4)
    resumed = aiexp(folder, "resume", "outputs/latest")
    assert resumed.code == 0, resumed.stderr
    assert f"resuming from step {7 if code > 0 else 6}" in resumed.stdout
    assert numbers(directory) == numbers(whole)
    assert aiexp(folder, "doctor", "outputs/latest").code == 0
    again = aiexp(folder, "resume", "outputs/latest")
    more = "aiexp resume outputs/latest trainer.steps=N, N > 12"
    assert (again.code, again.stdout) == (0, f"already complete: outputs/latest; more: {more}\n")


def test_resume_classifies_changes(folder: Path) -> None:
    words = ["run", *TINY, "trainer.epochs=1", "trainer.schedule.shape=constant"]
    assert aiexp(folder, *words).code == 0
    directory = only_run(folder)
    refused = aiexp(folder, "resume", "outputs/latest", "dataset.batch_size=4", "seed=3")
    assert refused.code == 2
    assert "seed: 0 -> 3" in refused.stderr
    assert "dataset.batch_size: 8 -> 4" in refused.stderr
    typo = aiexp(folder, "resume", "outputs/latest", "trainer.epoch=3")
    assert typo.code == 2
    assert "Did you mean 'trainer.epochs'?" in typo.stderr
    steps = directory.read_json("status.json")["step"]
    longer = aiexp(folder, "resume", "outputs/latest", "trainer.epochs=2")
    assert longer.code == 0, longer.stderr
    assert "changed since the checkpoint: trainer.epochs: 1 -> 2" in longer.stdout
    assert directory.read_json("status.json")["step"] == 2 * steps


def test_a_refused_change_leaves_the_config_alone(folder: Path) -> None:
    assert aiexp(folder, "run", *TINY, "trainer.epochs=1").code == 0
    path = only_run(folder).path / "config.yaml"
    before = path.read_bytes()
    for change in ("trainer.steps=10", "trainer.log_every=0", "seed=1", "trainer.epochs=many"):
        assert aiexp(folder, "resume", change, "outputs/latest").code == 2, change
        assert path.read_bytes() == before, change


def test_secrets_are_used_but_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that holds a secret's value works, and shows up masked."""
    monkeypatch.setenv("DB_PASSWORD", "canary-texts")
    (folder / "canary-texts.csv").write_bytes((folder / "texts.csv").read_bytes())
    words = [w.replace("=texts.csv", "=canary-texts.csv") for w in TINY]
    ended = aiexp(folder, "run", *words, "trainer.steps=2", "trainer.epochs=null")
    assert ended.code == 0, ended.stderr
    assert "canary-texts" not in ended.stdout + ended.stderr
    for path in (folder / "outputs").rglob("*"):
        assert "canary-texts" not in str(path.relative_to(folder))
        assert not path.is_file() or b"canary-texts" not in path.read_bytes(), path
    monkeypatch.delenv("DB_PASSWORD")
    only_run(folder).write_status(state="stopped")
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 2
    assert "dataset.train_file=VALUE" in ended.stderr


def test_resume_refuses_a_config_edited_by_hand(folder: Path) -> None:
    words = ["run", *TINY, "trainer.epochs=1"]
    assert aiexp(folder, *words).code == 0
    directory = only_run(folder)
    directory.write_status(state="stopped")
    path = directory.path / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.0001", "lr: 0.5"))
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 2
    assert "task.optimizer.lr: 0.0001 -> 0.5" in ended.stderr
    path.write_text(path.read_text().replace("torch.optim.AdamW", "os.system"))
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 10


def test_resume_falls_back_when_the_newest_checkpoint_is_damaged(folder: Path) -> None:
    words = ["run", *TINY, "trainer.steps=9", "trainer.epochs=null", "trainer.checkpoint.every=3",
             "trainer.checkpoint.keep_last=5"]  # fmt: skip
    assert aiexp(folder, *words).code == 0
    directory = only_run(folder)
    expected = numbers(directory)
    directory.write_status(state="stopped")
    path = directory.path / "checkpoints/step-00000009/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert aiexp(folder, "doctor", "outputs/latest").code == 4
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 0, ended.stderr
    assert "damaged (sha256 differs)" in ended.stdout
    assert "resuming from step 6" in ended.stdout
    assert numbers(directory) == expected
    for step in directory.path.glob("checkpoints/step-*/model.safetensors"):
        step.write_bytes(b"")
    directory.write_status(state="stopped")
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 4
    assert "no intact checkpoint" in ended.stderr


def test_resume_refuses_other_data(folder: Path) -> None:
    assert aiexp(folder, "run", *TINY, "trainer.epochs=1").code == 0
    with (folder / "texts.csv").open("a") as file:
        file.write("one more warm film,pos\n")
    ended = aiexp(folder, "resume", "outputs/latest", "trainer.epochs=2")
    assert ended.code == 3
    assert "not the one that this run began with" in ended.stderr


def test_check_says_what_it_would_take_and_writes_nothing(folder: Path) -> None:
    ended = aiexp(folder, "check", *TINY, "trainer.epochs=2")
    assert ended.code == 0, ended.stderr
    said = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    assert list(said) == ["config", "hardware", "dataset", "model", "evaluates", "steps", "memory"]
    num_train = int(re.match(r"(\d+) train, \d+ eval, \d+ test$", said["dataset"])[1])  # type: ignore[index]
    steps, seconds, minutes = map(
        float,
        re.match(r"(\d+) of ([\d.]+) s: about ([\d.]+) min", said["steps"]).groups(),  # type: ignore[union-attr]
    )
    assert steps == 2 * math.ceil(num_train / 8)
    assert minutes == pytest.approx(steps * seconds / 60, abs=0.051 + steps * 0.0005 / 60)
    assert said["evaluates"] == "eval/loss, eval/accuracy, eval/macro_f1"
    assert 0.05 < float(said["memory"].split(" GiB")[0]) < 64
    assert not (folder / "outputs").exists()
    assert aiexp(folder, "run", *TINY, "trainer.epochs=1").code == 0
    weights = load_file(next(only_run(folder).path.glob("checkpoints/*/model.safetensors")))
    parameters = sum(w.numel() for w in weights.values())  # with the last layer, as the run says too
    assert said["model"].startswith(f"{parameters:,} parameters, ")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["trainer.selection.monitor=eval/acuracy"], 2, "Did you mean 'eval/accuracy'?"),
        (["dataset.train_file=nowhere.csv"], 3, "nowhere.csv"),
        (["hardware=gpu"], 5, "no GPU on this machine"),
        (["outputs=texts.csv"], 8, "texts.csv"),
        (["task.optimizer.lr=1e30", "trainer.clip=null", "trainer.schedule.warmup=0"], 6, "not applied"),
        (["dataset.batch_size=0"], 2, "batch_size"),
        (["trainer.steps=5"], 2, "one of them is the length"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    folder: Path, words: list[str], code: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    ended = aiexp(folder, "run", *TINY, *words)
    assert ended.code == code, ended.stderr
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("aiexp: error[")


@pytest.mark.parametrize("most_bytes", [0, 100, 1500, 4000])
def test_files_that_may_not_grow_leave_no_run_that_starts_for_ever(folder: Path, most_bytes: int) -> None:
    def limit() -> None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  what is said goes to a file, which may not grow
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    assert aiexp(folder, "run", *TINY, before=limit).code == 8
    runs = [p for p in (folder / "outputs/bert_finetune").iterdir() if p.is_dir()]
    if most_bytes <= 100:  # not even a status can be written
        assert runs == []
    else:
        status = RunDirectory(runs[0]).read_json("status.json")
        assert (status["state"], status["exit_code"]) == ("failed", 8)
        assert "may not grow any more" in status["error"]


def test_status_of_a_failed_run_says_why(folder: Path) -> None:
    ended = aiexp(folder, "run", *TINY, "dataset.train_file=nowhere.csv")
    status = json.loads((only_run(folder).path / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 3)
    assert status["error"] in ended.stderr


def note_trackers() -> None:
    """Leaves a file where a tracker is started."""
    from aiexp.tracker.guard import GuardedTracker

    start = GuardedTracker.start

    def noted(self: Any, run: Any) -> Any:
        Path("started").touch()
        return start(self, run)

    GuardedTracker.start = noted


def test_what_is_refused_before_the_first_step_was_no_run(folder: Path) -> None:
    words = [*TINY, "trainer.steps=2", "trainer.epochs=null"]
    assert aiexp(folder, "run", *words, before=note_trackers).code == 0
    first, started = only_run(folder), folder / "started"
    started.unlink()
    for word, said in [
        ("trainer.selection.monitor=accuracy", "begins with eval/"),  # when composing
        ("task.optimizer.lr=-1", "not a number >= 0"),
        ("trainer.selection.monitor=eval/acuracy", "Did you mean 'eval/accuracy'?"),  # once all is built
    ]:
        ended = aiexp(folder, "run", *words, word, before=note_trackers)
        assert (ended.code, ended.stderr.count("\n")) == (2, 1)
        assert said in ended.stderr
        assert not started.exists(), "no run of W&B begins"
        assert only_run(folder) == first, "its folder is gone"
        assert (folder / "outputs/latest").resolve() == first.path
