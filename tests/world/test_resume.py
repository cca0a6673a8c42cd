"""Stopped or killed anywhere, a run on ranks ends in the same bytes; other numbers of ranks go on."""

import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.endings import digest
from tests.world.shared_run import WORDS, aiexp, latest, lines, make_folder

pytestmark = pytest.mark.ranks


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Number of ranks to the digest of a whole run."""

    @cache
    def made(size: int) -> str:
        folder = make_folder(tmp_path_factory.mktemp(f"whole-{size}"))
        assert aiexp(folder, "run", *WORDS, f"hardware.devices={size}").code == 0
        return digest(latest(folder))

    return made


@pytest.mark.parametrize(
    ("size", "fault", "code"),
    [
        pytest.param(2, "TERM:1:5", 143, marks=pytest.mark.slow),
        (2, "KILL:1:6", 137),
        pytest.param(2, "all:1:7", -signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(3, "TERM:1:4", 143, marks=pytest.mark.slow),
        pytest.param(3, "evaluate:1:8", 143, marks=pytest.mark.slow),
    ],
)
def test_interrupted_it_ends_in_the_same_bytes(
    tmp_path: Path, uninterrupted: Callable[[int], str], size: int, fault: str, code: int
) -> None:
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, f"hardware.devices={size}", fault=fault).code == code
    directory = latest(folder)
    resumed = aiexp(folder, "resume", str(directory.path))
    assert resumed.code == 0, resumed.stderr
    assert digest(directory) == uninterrupted(size)


def test_other_numbers_of_ranks_go_on(tmp_path: Path) -> None:
    """3, then 1, then 2; what each rank had to itself must not matter for that."""
    folder = make_folder(tmp_path)
    words = [*WORDS, "task.keeps=false"]
    assert aiexp(folder, "run", *words, "hardware.devices=3", fault="TERM:2:3").code == 143
    directory = latest(folder)
    alone = aiexp(folder, "resume", str(directory.path), "hardware.devices=1", fault="TERM:0:7")
    assert alone.code in (143, 1), alone.stderr
    several = aiexp(folder, "resume", str(directory.path), "hardware.devices=2")
    assert several.code == 0, several.stderr
    assert "saved by 3 ranks, continued by 1" in alone.stdout
    assert "saved by 1 ranks, continued by 2" in several.stdout
    assert [line["step"] for line in lines(directory) if "train/loss" in line] == [5, 10, 12]


def test_a_state_that_nobody_can_divide_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, fault="TERM:1:5").code == 143
    refused = aiexp(folder, "resume", str(latest(folder).path), "hardware.devices=3")
    assert refused.code == 4
    assert "each of 2 ranks had a state of its own, which Shared cannot divide" in refused.stderr
    assert "fix: hardware.devices=2, as it was saved" in refused.stderr


def test_a_damaged_file_of_a_rank_is_a_damaged_checkpoint(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, fault="TERM:1:5").code == 143
    directory = latest(folder)
    newest = max((directory.path / "checkpoints").glob("step-*"))
    (newest / "ranks/00001.json").write_text("{}")
    resumed = aiexp(folder, "resume", str(directory.path))
    assert resumed.code == 0
    assert "falling back to an older checkpoint" in resumed.stdout


def test_one_rank_is_as_if_there_were_no_ranks(tmp_path: Path) -> None:
    """No file of a rank; and the leader's checkpoints name their weights alike."""
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, "hardware.devices=1").code == 0
    directory = latest(folder)
    assert not (directory.path / "ranks").exists()
    newest = max((directory.path / "checkpoints").glob("step-*"))
    assert not (newest / "ranks").exists()
    assert "ranks" not in (newest / "manifest.json").read_text()
    alone = load_file(newest / "model.safetensors")
    shutil.rmtree(folder / "outputs")
    assert aiexp(folder, "run", *WORDS).code == 0
    newest = max((latest(folder).path / "checkpoints").glob("step-*"))
    assert alone.keys() == load_file(newest / "model.safetensors").keys()
