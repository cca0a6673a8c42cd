"""`start_from`: a new run begins with weights of earlier ones: of all networks, of one, of what fits."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.compose import compose
from aiexp.errors import ConfigError, ConfigErrors
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.weights import followed, followed_word, learned
from tests.use.trained_runs import again, aiexp, pictures_run, train_again


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of all runs here."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def parent(home: Path) -> Path:
    return pictures_run(home)


def first_weights(run: Path) -> dict[str, Any]:
    """As they were before the first step, of a run that learns nothing."""
    return dict(CheckpointStore(run / "checkpoints").load_weights(4))


STILL = "task.optimizer.lr=1e-30"  # AdamW's decay is a factor of the rate, so that weights stay as they are


def equal(one: dict[str, Any], other: Any, prefix: str = "") -> bool:
    names = [
        name for name in one if name.startswith(prefix) and "running" not in name and "num_b" not in name
    ]
    return bool(names) and all(torch.equal(one[name], other[name]) for name in names)


def test_a_run_starts_from_a_link_to_the_newest_run_and_says_which_that_was(home: Path, parent: Path) -> None:
    run = train_again(home, parent, "start_from=outputs/latest", STILL)
    assert run != parent
    trained = learned(RunDirectory(parent))
    assert equal(first_weights(run), trained.weights)
    (started,) = json.loads((run / "environment.json").read_text())["started_from"]
    assert started == trained.record() | {"network": None, "taken": len(trained.weights), "left": []}
    assert started["sha256"]
    assert RunDirectory(run).read_config()["start_from"] == str(parent.relative_to(home))
    assert f"weights of {parent.relative_to(home)}, step 4" in (run / "run.log").read_text()


def test_without_it_a_run_is_what_it_was(home: Path, parent: Path) -> None:
    run = train_again(home, parent, "start_from=null")
    assert equal(first_weights(run), learned(RunDirectory(parent)).weights)
    assert "started_from" not in json.loads((run / "environment.json").read_text())


def test_one_network_for_a_task_with_other_classes_in_transfer(home: Path, parent: Path) -> None:
    """The task `transfer` takes its trunk from a run like from any other pretrained model."""
    words = ["task=transfer", "model=mnist_cnn", "task.normalization=dataset"]
    for folder in ("slanted", "across"):
        shutil.copytree(home / "pictures" / folder, home / "two" / folder, dirs_exist_ok=True)
    changes = [*words, f"dataset.train_folder={home}/two", f"start_from.model={parent}", STILL]
    run = train_again(home, parent, *changes)
    assert equal(first_weights(run), learned(RunDirectory(parent)).weights, "model.")
    assert first_weights(run)["head.weight"].shape[0] == 2
    whole = again(home, parent, *changes[:-2], f"start_from={parent}")
    assert whole.code == 2
    assert "2 weights do not fit: head.weight ((3, " in whole.stderr
    assert (
        f"fix: start_from.model={parent} for that network alone, or start_from.strict=false" in whole.stderr
    )
    loose = train_again(home, parent, *changes[:-2], STILL, f"start_from={parent}", "start_from.strict=false")
    assert equal(first_weights(loose), learned(RunDirectory(parent)).weights, "model.")
    assert "; not taken: head.weight ((3, " in (loose / "run.log").read_text()


def test_a_resumed_run_needs_its_parent_no_more(home: Path, parent: Path) -> None:
    copy = Path(shutil.copytree(parent, home / "copy"))
    run = train_again(home, parent, f"start_from={copy}")
    shutil.rmtree(copy)
    ended = aiexp(home, "resume", str(run), "trainer.steps=6")
    assert ended.code == 0, ended.stderr
    assert max(CheckpointStore(run / "checkpoints").steps()) == 6


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("start_from=nowhere", 4, "no such run directory | start_from=nowhere"),
        ("start_from=pictures", 4, "not a run directory"),
        ("start_from.modle={parent}", 2, "the task has no network 'modle'. Did you mean 'model'?"),
        ("start_from=3", 2, "'start_from' is 3, not a run directory"),
        ("start_from.strict=maybe", 2, "'start_from.strict' is 'maybe', not true or false"),
        ("start_form={parent}", 2, "Did you mean 'start_from'?"),
    ],
)
def test_what_cannot_be_started_from_is_one_line(
    home: Path, parent: Path, word: str, code: int, said: str
) -> None:
    ended = again(home, parent, word.format(parent=parent))
    assert ended.code == code, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.count("error[") == 1


def test_a_run_without_a_checkpoint_or_with_a_damaged_one(home: Path, parent: Path) -> None:
    empty = Path(shutil.copytree(parent, home / "empty", ignore=shutil.ignore_patterns("checkpoints")))
    ended = again(home, parent, f"start_from={empty}")
    assert (ended.code, "no checkpoint any more" in ended.stderr) == (4, True)
    damaged = Path(shutil.copytree(parent, home / "damaged"))
    (damaged / "checkpoints/step-00000004/model.safetensors").write_bytes(b"damaged")
    ended = again(home, parent, f"start_from={damaged}")
    assert (ended.code, "step 4: checkpoint file has 7 bytes" in ended.stdout) == (0, True)


def test_keys_add_up_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["start_from.strict=false", "start_from=a", "start_from.head=b"]
    for typed in (words, words[::-1]):
        found = compose(["task=mnist_cnn", *typed]).config.start_from
        assert found == {"run": "a", "strict": False, "head": "b"}
    assert compose(["task=mnist_cnn"]).config.start_from is None
    assert compose(["task=mnist_cnn", "start_from=a"]).config.start_from == "a"
    with pytest.raises((ConfigError, ConfigErrors), match=r"'start_from.head' is \[1\]"):
        compose(["task=mnist_cnn", "start_from.head=[1]"])


def test_a_link_to_a_run_is_followed_wherever_it_stands(parent: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(parent)
    assert followed({"a": [str(link), 1], "b": "latest"}) == {"a": [str(parent), 1], "b": "latest"}
    assert followed_word(f"start_from={link},other") == f"start_from={parent},other"
    link.unlink()
    link.symlink_to(tmp_path)
    assert followed(str(link)) == str(link)
