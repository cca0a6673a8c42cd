"""`model.path=RUN`: an encoder that a run has trained goes on as another run's pretrained one."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from aiexp.checkpoint.store import CheckpointStore
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.weights import learned
from aiexp.runs.loaded import load_run
from tests.model.saved_bert import save_bert
from tests.use.trained_runs import again, aiexp, pictures_run, texts_run, train_again

STILL = "task.optimizer.lr=1e-30"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of all runs here."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def parent(home: Path) -> Path:
    """A BERT made and trained by us: nothing of it comes from elsewhere."""
    return texts_run(home)


def same_encoder(run: Path, parent: Path) -> bool:
    ours, theirs = (learned(RunDirectory(path)).weights for path in (run, parent))
    names = [name for name in theirs if name.startswith("model.")]
    return bool(names) and all(torch.equal(ours[name], theirs[name]) for name in names)


def test_the_encoder_is_taken_and_the_head_is_new(home: Path, parent: Path) -> None:
    run = train_again(home, parent, "model=minilm", "model.path=outputs/latest", STILL)
    assert same_encoder(run, parent)
    heads = [learned(RunDirectory(path)).weights["head.weight"] for path in (run, parent)]
    assert not torch.equal(*heads)
    origin = json.loads((run / "model/trained_by.json").read_text())
    assert origin == learned(RunDirectory(parent)).record()
    tokenizers = [load_run(path).task.model.tokenizer.to_str() for path in (run, parent)]
    assert tokenizers[0] == tokenizers[1]


def test_such_a_run_is_resumed_used_and_taken_without_the_first_one(home: Path, parent: Path) -> None:
    copy = Path(shutil.copytree(parent, home / "copy"))
    run = train_again(home, parent, "model=minilm", f"model.path={copy}", STILL)
    shutil.rmtree(copy)
    ended = aiexp(home, "resume", str(run), "trainer.steps=6")
    assert ended.code == 0, ended.stderr
    assert max(CheckpointStore(run / "checkpoints").steps()) == 6
    assert json.loads((run / "model/trained_by.json").read_text())["path"] == str(copy)
    assert same_encoder(run, parent)
    assert load_run(run).step
    assert same_encoder(train_again(home, parent, "model=minilm", f"model.path={run}", STILL), parent)


def test_a_folder_of_a_pretrained_model_too(home: Path, parent: Path) -> None:
    save_bert(load_run(parent).task.model, home / "pretrained")
    run = train_again(home, parent, "model=minilm", "model.path=pretrained", STILL)
    assert same_encoder(run, parent)
    assert not (run / "model/trained_by.json").exists()
    again_by_name = ["model=bert_base", f"model.name={run}", "model.revision=null"]
    assert same_encoder(train_again(home, parent, *again_by_name, STILL), parent)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_encoder_of_transformers(home: Path, parent: Path) -> None:
    save_bert(load_run(parent).task.model, home / "hub")
    hub = train_again(home, parent, "model=hub", "model.name=hub", STILL)
    run = train_again(home, parent, "model=hub", f"model.name={hub}", STILL)
    assert same_encoder(run, hub)
    ended = again(home, parent, "model=hub", f"model.name={parent}")
    assert (ended.code, ended.stderr.count("error[")) == (3, 1), ended.stderr
    assert "the run has trained another network" in ended.stderr


def test_a_run_without_such_a_model_is_one_line(home: Path, parent: Path) -> None:
    (home / "other").mkdir()
    pictures = pictures_run(home / "other")
    for path, said in ((pictures, "no text encoder"), (home / "nowhere", "there is no folder")):
        ended = again(home, parent, "model=minilm", f"model.path={path}")
        assert (ended.code, ended.stderr.count("error[")) == (3, 1), ended.stderr
        assert said in ended.stderr
        assert str(path) in ended.stderr
