from pathlib import Path

import pytest

from aiexp.command.resume import main
from aiexp.errors import CheckpointError
from aiexp.rundir.assigned import is_path


@pytest.mark.parametrize("word", ["outputs/latest", "latest", "toy/2026_tracker=none_1a", "/x/lr=1_2b"])
def test_names_of_runs(word: str) -> None:
    assert is_path(word)


@pytest.mark.parametrize("word", ["trainer.epochs=5", "outputs=other/folder", "trainer.steps=1"])
def test_changes(word: str) -> None:
    assert not is_path(word)


def test_a_run_named_after_its_overrides_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the line after Ctrl-C says it, and from inside its folder."""
    monkeypatch.chdir(tmp_path)
    Path("outputs/2026_seed=1_ab").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="not a run directory"):
        main(["outputs/2026_seed=1_ab", "trainer.epochs=2"])
    monkeypatch.chdir("outputs")
    assert is_path("2026_seed=1_ab")
