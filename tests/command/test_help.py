import re
from importlib import import_module
from pathlib import Path

import pytest

from aiexp import __version__, cli
from aiexp.command import COMMANDS, module_of
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ([], 2, "usage: aiexp COMMAND"),
        (["--help"], 0, "usage: aiexp COMMAND"),
        (["run", "--help"], 0, "choose a group's option"),
        (["--version"], 0, __version__),
        (["help"], 0, "usage: aiexp COMMAND"),
        (["help", "run"], 0, "choose a group's option"),
        (["resume"], 2, "usage: aiexp resume"),
        (["sweep"], 2, "usage: aiexp sweep"),
        (["data"], 0, "usage: aiexp data"),
    ],
)
def test_help(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: list[str], code: int, expected: str
) -> None:
    assert (got := call(capsys, *words))[0] == code
    assert expected in got[1]
    assert all(len(line) <= 80 for line in got[1].splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_page_fits_a_terminal_and_names_every_flag(
    lab: Lab, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, page, err = call(capsys, "help", command)
    assert (code, err) == (0, "")
    assert page.startswith(f"usage: aiexp {command}")
    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert call(capsys, command, "anything", "-h")[1] == call(capsys, command, "--help")[1] == page
    for flag in import_module(module_of(command)).FLAGS.all:
        assert re.search(rf"^  (-\w+, )?{flag.name}( |$)", page, re.MULTILINE), flag.name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelled_flag_of_any_command_is_one_line(
    lab: Lab, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, err = call(capsys, command, "--hlep")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "unknown flag '--hlep'. Did you mean '--help'? | command line: --hlep | fix: flags are --" in err
