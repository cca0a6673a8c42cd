"""Several ranks, with whole weights and sharded: they start from a run, and branch off from one."""

from pathlib import Path

import pytest
import torch.distributed.fsdp  # noqa: F401  once, not in every fork

from aiexp.rundir.weights import learned
from tests.endings import digest
from tests.world.shared_run import WORDS, aiexp, latest, lines, make_folder

pytestmark = pytest.mark.ranks


@pytest.fixture(scope="module", params=["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def parallel(request: pytest.FixtureRequest) -> str:
    return f"hardware.parallel={request.param}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, parallel: str) -> Path:
    """A finished run of two ranks."""
    folder = make_folder(tmp_path_factory.mktemp("going_on"))
    ended = aiexp(folder, "run", *WORDS, parallel, "trainer.checkpoint.keep_last=9")
    assert ended.code == 0, ended.stderr
    return folder


def test_every_rank_starts_from_the_same_weights(folder: Path, parallel: str) -> None:
    parent = latest(folder)
    words = [*WORDS, parallel, "trainer.steps=1", "start_from=outputs/latest"]
    ended = aiexp(folder, "run", *words)
    assert ended.code == 0, ended.stderr
    ours, theirs = (learned(directory).weights for directory in (latest(folder), parent))
    assert all(
        (ours[name] - value).abs().max() <= 0.0101 for name, value in theirs.items()
    )  # one step of Adam
    assert latest(folder).read_json("environment.json")["started_from"][0]["path"] == str(parent.path)


def test_a_branch_has_what_each_rank_had(folder: Path, parallel: str) -> None:
    ended = aiexp(folder, "run", *WORDS, parallel, "trainer.checkpoint.keep_last=9")
    assert ended.code == 0, ended.stderr
    parent = latest(folder)
    ended = aiexp(folder, "branch", str(parent.path), "--step", "6")
    assert ended.code == 0, ended.stderr
    assert latest(folder).path != parent.path
    assert lines(latest(folder)) == lines(parent)
    assert digest(latest(folder)) == digest(parent)
