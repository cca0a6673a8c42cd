"""`aiexp reproduce` of a run on ranks: as many train its first steps again, and nothing is written."""

from pathlib import Path

import pytest

from aiexp.rundir.directory import RunDirectory
from tests.endings import digest
from tests.forks import Ended
from tests.world.shared_run import WORDS, aiexp, alive, latest, make_folder

pytestmark = pytest.mark.ranks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two ranks; nobody changes it."""
    folder = make_folder(tmp_path_factory.mktemp("reproduced"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))  # as of each test
        assert aiexp(folder, "run", *WORDS).code == 0
    return latest(folder).path


def reproduce(run: Path, *words: str, fault: str = "") -> Ended:
    folder, before = run.parents[2], digest(RunDirectory(run))
    ended = aiexp(folder, "reproduce", str(run), *words, fault=fault)
    assert digest(RunDirectory(run)) == before
    assert not list((folder / "tmp").glob("aiexp-*"))
    assert not alive(folder)
    return ended


def test_two_ranks_get_every_number_again(run: Path) -> None:
    ended = reproduce(run, "--steps", "12")
    assert ended.code == 0, ended.stderr
    assert "hardware  as they were\n" in ended.stdout
    assert "result    identical until step 12: 15 numbers, bit for bit\n" in ended.stdout


@pytest.mark.slow
def test_a_branch_on_ranks_begins_where_it_branched_off(run: Path) -> None:
    assert aiexp(run.parents[2], "branch", str(run), "--step", "8").code == 0
    ended = reproduce(latest(run.parents[2]).path)
    assert ended.code == 0, ended.stderr
    assert "identical until step 12" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("TERM:1:3", 143, "aiexp: stopped before the steps were compared"),
        ("data:1:3", 3, "error[data]: picture 17 cannot be read | photos/17.png"),
        ("bug:1:3", 1, "rank 1 met ValueError: a slip of the pen | see above"),
    ],
)
def test_a_rank_that_ends_ends_all_in_its_words(run: Path, fault: str, code: int, said: str) -> None:
    ended = reproduce(run, fault=fault)
    assert ended.code == code
    assert ended.stderr.splitlines()[-1].endswith(said), ended.stderr
    assert ("Traceback" in ended.stderr) == (code == 1)


def test_fewer_devices_than_the_run_had_are_one_line(run: Path) -> None:
    path = run / "environment.json"
    text = path.read_text()
    path.write_text(text.replace('"device": "cpu"', '"device": "cuda"'))
    try:
        ended = reproduce(run)
    finally:
        path.write_text(text)
    assert (ended.code, ended.stderr.count("\n")) == (5, 1), ended.stderr
    assert "this machine has 0 GPUs for them" in ended.stderr
    assert "fix: reproduce it on a machine with 2 GPUs" in ended.stderr
