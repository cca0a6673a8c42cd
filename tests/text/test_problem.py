"""An error on a terminal: few lines, the word marked, nothing of a parser's."""

import os
import pty
import subprocess
import sys

import pytest

from aiexp.errors import TYPED, AiexpError, ConfigError
from aiexp.text.problem import described

OPTIONS = ["bert", "cifar", "cyclegan", "dcgan", "dqn", "maml", "mnist_cnn", "protonet", "transfer"]


def shown(error: AiexpError, argv: str, columns: int = 80) -> str:
    return "\n".join(line for line, _ in described(error, argv.split(), columns))


def test_the_word_is_marked_and_the_nearest_options_are_named() -> None:
    error = ConfigError(
        "no option 'mnist_cn' in group 'task'. Did you mean 'mnist_cnn'?", where=f"{TYPED}task=mnist_cn",
        fix="options are", options=OPTIONS, see="aiexp list task",
    )  # fmt: skip
    lines = shown(error, "run task=mnist_cn trainer.epochs=2").splitlines()
    assert lines[:3] == [
        "error[config]: no option 'mnist_cn' in group 'task'",
        "  aiexp run task=mnist_cn trainer.epochs=2",
        "            ^^^^^^^^^^^^^ did you mean 'mnist_cnn'?",
    ]
    assert lines[3].startswith("help: options are mnist_cnn ")
    assert " ".join(" ".join(lines[3:]).split()).endswith("and 4 more: aiexp list task")
    assert error.line().endswith("| fix: options are " + " ".join(OPTIONS)), "whole in one line"


@pytest.mark.parametrize(
    ("argv", "columns", "expected"),
    [
        ("run a = b c=1", 80, "  aiexp run a = b c=1\n            ^^^^^"),
        ("run " + "x=1 " * 30 + "a = b", 40, "  a = b\n  ^^^^^"),
        ("run other", 80, "in: command line: a = b"),
    ],
)
def test_words_that_a_space_has_parted_long_commands_and_no_such_word(
    argv: str, columns: int, expected: str
) -> None:
    assert expected in shown(ConfigError("spaces", where=f"{TYPED}a = b", fix="type a=b"), argv, columns)


def test_a_secret_in_the_command_is_masked_and_the_mark_stays_under_its_word() -> None:
    argv = "run tracker.api_key=abcdefgh12345678 sed=1"
    lines = shown(ConfigError("unknown key 'sed'", where=f"{TYPED}sed=1"), argv).splitlines()
    assert "abcdefgh" not in lines[1]
    assert lines[1].index("sed=1") == lines[2].index("^")


def test_lines_fit_the_terminal() -> None:
    error = ConfigError("word " * 60, where="place " * 40, fix="do " * 80)
    assert max(map(len, shown(error, "run", 50).splitlines())) <= 50


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_and_one_line_elsewhere(no_color: str, is_coloured: bool) -> None:
    environment = os.environ | {"NO_COLOR": no_color, "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "aiexp", "run", "task=mnist_cn"]
    leader, follower = pty.openpty()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=follower, timeout=60)
    os.close(follower)
    seen = b""
    try:
        while part := os.read(leader, 4096):
            seen += part
    except OSError:  # all is read
        pass
    os.close(leader)
    assert done.returncode == 2
    assert b"^^^^^^^^^^^^^ did you mean 'mnist_cnn'?" in seen
    assert (b"\x1b[31m" in seen) == is_coloured
    piped = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert piped.stderr.count("\n") == 1
    assert piped.stderr.startswith("aiexp: error[config]: no option")
