"""Runs by their ids, `latest` and paths."""

from pathlib import Path

import pytest

from aiexp.errors import CheckpointError, ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.named import known_names, named, run_id, short_name

FIRST = Path("outputs/mnist/2026-01-01_00-00-00_lr-1_abc123")
SECOND = Path("outputs/bert/2026-01-02_00-00-00_abd456")
SWEEP = Path("outputs/mnist/2026-01-03_00-00-00_sweep_fff000")
JOB = SWEEP / "000_seed-1_0a0b0c"


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (FIRST, SECOND, JOB):
        path.mkdir(parents=True)
    Path("outputs/latest").symlink_to("mnist/2026-01-01_00-00-00_lr-1_abc123")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("abc123", FIRST), ("abc", FIRST), ("abd4", SECOND), ("fff000", SWEEP), ("0a0", JOB),
        ("latest", Path("outputs/latest")), (str(FIRST), FIRST),
        ("ab", Path("ab")), ("eee", Path("eee")), ("abc1234", Path("abc1234")), ("no/run", Path("no/run")),
    ],
)  # fmt: skip
def test_what_a_word_names(word: str, found: Path) -> None:
    assert named(word) == found


def test_a_path_that_exists_comes_first(tmp_path: Path) -> None:
    Path("abc123").mkdir()
    Path("latest").mkdir()
    assert (named("abc123"), named("latest")) == (Path("abc123"), Path("latest"))
    assert named(tmp_path) == tmp_path


def test_several_are_not_guessed_between() -> None:
    Path("outputs/mnist/2026-01-04_00-00-00_abc999").mkdir()
    with pytest.raises(ConfigError, match="several runs begin with 'abc': abc123, abc999"):
        named("abc")
    assert named("abc9").name.endswith("abc999")


def test_the_shortest_word_leads_back() -> None:
    assert [short_name(path) for path in (FIRST, JOB)] == ["abc123", "0a0b0c"]
    assert short_name(Path("elsewhere/2026-01-01_00-00-00_abc777")) == "elsewhere/2026-01-01_00-00-00_abc777"
    Path("outputs/bert/2026-01-05_00-00-00_abc123").mkdir()  # once in 16 million
    assert short_name(FIRST) == str(FIRST)
    assert run_id(Path("outputs/mine")) == ""


def test_an_unknown_run_is_answered_with_the_nearest_that_there_is() -> None:
    assert next(iter(known_names())) == "latest"
    with pytest.raises(CheckpointError, match=r"no such run directory\. Did you mean 'latest'"):
        RunDirectory.open(Path("latst"))
