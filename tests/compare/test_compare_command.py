"""`aiexp compare` from outside: what is compared, what is said, in which format, and bad input."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from tests.compare.made import make_run, make_seeds
from tests.lab import HEAVY

GOOD = [0.900, 0.905, 0.903, 0.901, 0.904]
BAD = [0.850, 0.856, 0.853, 0.851, 0.855]


class Said:
    """Exit code and output of one call."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.lines = out.splitlines()

    @property
    def rows(self) -> list[list[str]]:
        """The table, cut at two blanks."""
        return [
            [c.strip() for c in line.split("  ") if c.strip()]
            for line in self.out.split("\n\n")[0].splitlines()
        ]

    @property
    def notes(self) -> list[str]:
        return [line.removeprefix("note: ") for line in self.lines if line.startswith("note: ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "toy"


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> Said:
        return Said(cli.main(["compare", *words]), *capsys.readouterr())

    return call


def test_two_configs(folder: Path, compare: Any) -> None:
    make_seeds(folder, BAD, "task.optimizer.lr=0.1")
    make_seeds(folder, GOOD, "task.optimizer.lr=0.01")
    said = compare()
    assert (said.code, said.err, said.notes) == (0, "", [])
    assert said.lines[0].split() == [
        "lr",
        "test/accuracy",
        "95",
        "%",
        "interval",
        "seeds",
        "time",
        "memory",
        "CPU",
        "h",
    ]
    assert said.lines[1].split()[:2] == ["0.01", "0.9026"]
    assert said.lines[1].split()[5:] == ["5", "90", "s", "1.0", "GiB", "0.250"]
    assert said.lines[2].split()[0] == "0.1"
    assert "lr=0.01 is better than lr=0.1 by 4.96 points (4.89 to 5.03)" in said.lines
    assert "paired by seed" in said.out


def test_what_cannot_be_told_apart_says_how_many_seeds_would_do(folder: Path, compare: Any) -> None:
    make_seeds(folder, [0.90, 0.92, 0.91], "task.optimizer.lr=0.1")
    make_seeds(folder, [0.91, 0.91, 0.93], "task.optimizer.lr=0.01")
    (sentence,) = [line for line in compare().lines if "cannot be told apart" in line]
    assert sentence.startswith("lr=0.01 and lr=0.1 cannot be told apart with 3 seeds, about ")
    needed = int(sentence.split("about ")[1].split()[0])
    assert 30 < needed < 60


def test_lower_is_better_for_a_loss_and_direction_can_be_given(folder: Path, compare: Any) -> None:
    for rate, scores in ((0.1, GOOD), (0.01, BAD)):
        for seed, score in enumerate(scores):
            make_run(
                folder, {"test/loss": score, "test/zorp": score}, f"task.optimizer.lr={rate}", f"seed={seed}"
            )
    assert compare("--metric", "test/loss").rows[1][0] == "0.01"
    assert compare("--metric", "loss", "--higher").rows[1][0] == "0.1"
    unknown = compare("--metric", "zorp")
    assert unknown.rows[1][0] == "0.1"
    assert unknown.notes == ["taken for granted that more test/zorp is better; --lower says otherwise"]
    assert compare("--metric", "zorp", "--lower").notes == []


def test_only_keys_that_matter_are_shown(folder: Path, compare: Any) -> None:
    """Seeds, folders, trackers and threads differ too; a choice stands for what its file sets."""
    for seed, (score, worse) in enumerate(zip(GOOD, BAD, strict=True)):
        make_run(
            folder, score, f"seed={seed}", f"outputs=out{seed}", "hardware.threads=1", "trainer.log_every=5"
        )
        large = ["model.widths=[64, 128]", "model.extra=1"]
        run = make_run(folder, worse, *large, f"seed={seed}", choices={"model": "large", "tracker": "wandb"})
        typed = run / "overrides.yaml"
        typed.write_text(
            typed.read_text().replace("- model.widths=[64, 128]\n- model.extra=1\n", "- model=large\n")
        )
    said = compare()
    assert [row[0] for row in said.rows[:3]] == ["model", "small", "large"]
    assert said.rows[0][1] == "test/accuracy"
    assert said.notes == ["times are of different hardware.threads"]


def test_by_a_key_mixes_the_others_and_pairs_within_them(folder: Path, compare: Any) -> None:
    for dropout, lift in ((0.0, 0.0), (0.5, 0.03)):
        for rate, scores in ((0.1, GOOD), (0.01, BAD)):
            words = (f"task.optimizer.lr={rate}", f"model.dropout={dropout}")
            make_seeds(
                folder, [score + lift + i / 3000 * (lift > 0) for i, score in enumerate(scores)], *words
            )
    said = compare("--by", "dropout")
    assert [row[0] for row in said.rows[1:]] == ["0.5", "0"]
    assert "10" in said.rows[1]
    assert said.notes == ["runs with equal model.dropout differ in task.optimizer.lr: each group mixes these"]
    assert "dropout=0.5 is better than dropout=0 by 3.07 points (3.03 to 3.10)" in said.lines  # lr cancels
    assert compare("--by", "hardware.threads").rows[1][0] == "2"
    assert len(compare().rows) == 5


def test_runs_without_a_score_are_left_out_and_counted(folder: Path, compare: Any) -> None:
    make_seeds(folder, GOOD, "task.optimizer.lr=0.01")
    make_seeds(folder, BAD[:2], "task.optimizer.lr=0.1")
    make_run(folder, float("nan"), "task.optimizer.lr=0.1", "seed=2", name="nan")
    make_run(folder, {"test/loss": 1.0}, "task.optimizer.lr=0.1", "seed=3", name="lossy")
    for state in ("failed", "running", "stopped", "pruned"):
        make_run(folder, 0.99, "task.optimizer.lr=0.1", "seed=9", state=state, name=state)
    (make_run(folder, 0.5, name="broken") / "config.yaml").write_text("[")
    said = compare()
    assert said.code == 0
    assert "2 of 8" in said.rows[2]
    notes = " | ".join(said.notes)
    assert "1 left out, cannot be read: broken (" in notes
    assert "4 left out, not finished: 1 failed, 1 pruned, 1 running, 1 stopped" in notes
    assert "1 left out, without test/accuracy: lossy" in notes
    assert "1 left out, test/accuracy is no finite number: nan; the means are of the rest" in notes


def test_a_repeated_config_and_seed_counts_once(folder: Path, compare: Any) -> None:
    make_run(folder, 0.1, "seed=0", name="old")
    make_run(folder, 0.8, "seed=0", name="new")
    make_run(folder, 0.9, "seed=1")
    said = compare()
    assert float(said.rows[1][0]) == 0.85
    assert said.notes == ["1 left out because a newer run has the same config and seed: old"]


def test_a_run_of_other_code_is_no_repetition(folder: Path, compare: Any) -> None:
    for name, score, sha in (("a", 0.1, "1"), ("b", 0.6, "2"), ("c", 0.8, "1")):
        file = {"path": "net.py", "module": "net", "sha256": sha}
        code = make_run(folder, score, "seed=0", name=name) / "code"
        code.mkdir()
        version = {"working_directory": "/x", "files": [file], "signature": ""}
        (code / "record.json").write_text(json.dumps({"versions": [version]}))
    said = compare()
    assert float(said.rows[1][0]) == 0.7  # of b and c
    assert said.notes == ["1 left out because a newer run has the same config and seed: a"]


def test_one_seed_has_no_interval_and_no_sentence(folder: Path, compare: Any) -> None:
    make_run(folder, 0.8, "task.optimizer.lr=0.1")
    make_run(folder, 0.9, "task.optimizer.lr=0.01")
    said = compare()
    assert said.rows[1][:3] == ["0.01", "0.9000", "-"]
    assert said.notes == [
        "one seed only: no interval, and nothing to tell luck from merit by; -m seed=0,1,2,3,4"
    ]
    assert "better" not in said.out.split("note")[0]


def test_different_tasks_are_compared_by_what_both_have(folder: Path, compare: Any) -> None:
    both = {"test/accuracy": 0.9, "test/loss": 0.1, "test/f1": 0.8}
    make_run(folder, both)
    make_run(
        folder.parent / "other",
        {"test/loss": 0.2},
        "task.reference.metric=test/loss",
        choices={"task": "other"},
    )
    said = compare()
    assert said.rows[0][:2] == ["task", "test/loss"]
    assert said.rows[1][0] == "toy"
    assert "runs of different tasks (other, toy) are compared by test/loss" in said.notes


def test_returns_have_interquartile_means(folder: Path, compare: Any) -> None:
    for seed, score in enumerate([498.0, 499, 500, 497, 499, 500, 498, 20]):
        make_run(folder, {"test/return_mean": score}, f"seed={seed}", "task.reference=null")
    said = compare()
    assert 498 <= float(said.rows[1][0]) <= 499
    assert "interquartile means" in said.out


def test_many_configs(folder: Path, compare: Any) -> None:
    """A search: a table of the best, letters for long labels, importance of the keys."""
    for i in range(24):
        rate, decay = 10 ** -(1 + i % 6 / 2), (0.0, 0.01, 0.1, 0.2)[i // 6]
        words = [f"task.optimizer.lr={rate!r}", f"task.optimizer.weight_decay={decay}"]
        score = 0.9 - 0.05 * abs(i % 6 - 2) - 0.001 * (i // 6)
        make_seeds(folder, [score, score + 0.001 * (i % 7) / 7, score - 0.002 * (i % 5) / 5], *words)
    said = compare("--top", "5")
    assert [row[0] for row in said.rows[1:6]] == ["A", "B", "C", "D", "E"]
    assert "and 19 more; --top 0 shows all" in said.lines
    (importance,) = [line for line in said.lines if "fANOVA" in line]
    shares = dict(re.findall(r"(\w+) (\d+)%", importance.split(": ")[1]))
    assert list(shares) == ["lr", "weight_decay"], "the largest first"
    assert int(shares["lr"]) + int(shares["weight_decay"]) in (99, 100, 101)
    assert 95 <= int(shares["lr"]) < 100, "0.05 a step of the rate, 0.001 a step of the decay"
    assert any(line.startswith("A is better than ") for line in said.lines)
    assert "fANOVA" not in compare("--no-importance").out
    few = compare("--by", "weight_decay", "--importance")
    assert "no importance of keys: it takes 10 different configs, there are 4" in few.notes


def test_formats(folder: Path, compare: Any) -> None:
    make_seeds(folder, BAD, "task.optimizer.lr=0.1", "model.name=a|b")
    make_seeds(folder, GOOD, "task.optimizer.lr=0.01", "model.name=a,b")
    markdown = compare("--format", "md")
    assert markdown.lines[1] == "|---|---|---|---|---|---|---|---|"
    assert markdown.lines[3].startswith("| a\\|b | 0.1 | 0.85")
    assert any(line.startswith("- name=a,b lr=0.01 is better than ") for line in markdown.lines)
    rows = list(csv.DictReader(io.StringIO(compare("--format", "csv").out)))
    assert list(rows[0]) == [
        "model.name", "task.optimizer.lr", "metric", "center", "low", "high", "deviation", "num_runs",
        "num_lost", "seconds", "peak_memory_bytes", "cpu_hours", "gpu_hours",
    ]  # fmt: skip
    assert (rows[0]["model.name"], float(rows[0]["center"])) == ("a,b", pytest.approx(sum(GOOD) / 5))
    content = json.loads(compare("--format", "json").out)
    assert content["format"] == 1
    assert content["groups"][0]["values"] == {"model.name": "a,b", "task.optimizer.lr": 0.01}
    assert [run["score"] for run in content["groups"][0]["runs"]] == GOOD
    assert content["differences"][0]["is_sure"] is True
    assert content["differences"][0]["interval"]["low"] > 0.04
    assert content["sentences"][0].startswith("name=a,b lr=0.01 is better")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits_the_terminal(folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.compare.compare import compare
    from aiexp.compare.shown.table import as_table
    from aiexp.rundir.record import find_runs

    for i in range(3):
        words = [f"task.optimizer.lr={0.1 / 3**i}", f"model.dropout={i / 7}", f"trainer.warm_up_of_this={i}"]
        words.append(f"dataset.folder=a/rather/long/name/of/a/folder/{i}")
        make_seeds(folder, [0.9, 0.91, 0.92 - i / 10], *words)
    text = as_table(compare(find_runs([folder])), width)
    assert max(map(len, text.splitlines())) <= width
    joined = "".join("".join(text.split()).split("A"))
    assert "a/rather/long/name/of/a/folder/2" in joined or width < 140
    assert "0.91" in text


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--by", "drpout"], 2, "no run has a key 'drpout'. Did you mean 'model.dropout'?"),
        (
            ["--metric", "test/acuracy"],
            2,
            "no run has a metric 'test/acuracy'. Did you mean 'test/accuracy'?",
        ),
        (["--format", "xml"], 2, "--format takes table|md|latex|csv|json|html, not 'xml'"),
        (["--metrc", "x"], 2, "unknown flag '--metrc'. Did you mean '--metric'?"),
        (["--by"], 2, "fix: type --by KEY"),
        (["--top", "many"], 2, "--top takes a number, not 'many'"),
        (["output"], 3, "no such folder: output. Did you mean 'outputs'?"),
        (["empty"], 3, "no runs found | empty"),
    ],
)
def test_misuse_is_one_line(folder: Path, compare: Any, words: list[str], code: int, expected: str) -> None:
    make_run(folder, 0.5)
    Path("empty").mkdir()
    said = compare(*words)
    assert (said.code, said.out) == (code, "")
    assert expected in said.err
    assert said.err.startswith("aiexp: error[")
    assert said.err.count("\n") == 1


def test_nothing_finished(folder: Path, compare: Any) -> None:
    make_run(folder, 0.5, state="failed")
    make_run(folder, 0.5, state="running")
    (make_run(folder, 0.5) / "status.json").write_text("")
    said = compare()
    assert said.code == 3
    assert "none of the 3 runs is finished (1 damaged, 1 failed, 1 running)" in said.err


@pytest.mark.parametrize("score", [None, float("nan")])
def test_no_score_at_all(folder: Path, compare: Any, score: float | None) -> None:
    run = make_run(folder, score)
    (run / "metrics.jsonl").write_text("")
    said = compare()
    assert said.code in (2, 3)
    assert said.err.count("\n") == 1


def test_nothing_heavy_is_imported(folder: Path) -> None:
    make_seeds(folder, GOOD)
    code = """import sys
from aiexp.cli import main
assert main(["compare"]) == 0
print(sorted(m for m in sys.modules if "." not in m), "scipy.stats" in sys.modules, file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not [m for m in (*HEAVY, "optuna", "pandas", "hydra", "plotly") if f"'{m}'" in done.stderr]
    assert done.stderr.rstrip().endswith("False")


def test_failed_runs_of_other_configs_are_no_lost_seeds(folder: Path, compare: Any) -> None:
    make_run(folder, 0.9, "seed=0")
    make_run(folder, None, "seed=1", "hardware.device=gpu", state="failed")  # the same but for the seed
    make_run(folder, None, "seed=1", "task.optimizer.lr=9", state="failed")
    for i in range(3):
        make_run(folder, None, f"seed={i}", choices={"task": "bert"}, state="failed")
        make_run(
            folder, None, f"seed={i}", "task._target_=aiexp.Other", choices={"task": "b"}, state="failed"
        )
    said = compare("--format", "csv")
    (row,) = csv.DictReader(io.StringIO(said.out))
    assert (row["num_runs"], row["num_lost"]) == ("1", "1")
    assert "8 left out, not finished: 8 failed" in " ".join(compare().notes)
