"""`aiexp board`: the comparison page, live. Imports no torch."""

import os

from aiexp.command.comparing.question import QUESTION, question_of
from aiexp.command.flags import Flag, Flags
from aiexp.errors import DataError, nearest
from aiexp.listening import port_of
from aiexp.rundir.named import OUTPUTS, named
from aiexp.text.terminal import say

HELP = """\
usage: aiexp board [PATH ...] [flags]

A page for the browser that shows runs while they train: how far they are, all
their metrics as panels, pictures and tables over steps, logs, configs, system
load, and the comparison of those that have finished. PATH is a run, a sweep or
any folder above them (outputs, if left out); runs that begin later appear by
themselves. Titles, notes, tags and what is hidden are kept in the runs'
directories (notes.json); what the page shows is in its address, so that a
bookmark is a saved view. aiexp compare --html writes the same page as a file.

  aiexp board
  aiexp board outputs/mnist_cnn --port 0

There is no authentication: other machines are let in only with --allow-remote.
From elsewhere: ssh -L 8700:127.0.0.1:8700 HOST
"""
DEFAULT_PORT = 8700
FLAGS = Flags(
    "board",
    *QUESTION,
    Flag("--port", f"where it listens ({DEFAULT_PORT}); 0 takes any that is free", value="N"),
    Flag("--host", "where it listens (127.0.0.1)", value="HOST"),
    Flag("--allow-remote", "let other machines in; anyone who reaches it reads and writes notes"),
)


def main(argv: list[str]) -> int:
    """Serves the page; returns its exit code.

    Raises:
        DataError: a folder does not exist.
    """
    words, flags = FLAGS.parse(argv)
    port = port_of(flags.get("port", str(DEFAULT_PORT)))
    paths = [named(word) for word in words or [OUTPUTS]]
    for path in paths:
        if not os.path.isdir(path):
            siblings = [str(near) for near in path.parent.glob("[!.]*") if near.is_dir()]
            what = f"no such folder: {path}.{nearest(str(path), siblings)}"
            raise DataError(what, fix="name the folder of your runs; aiexp run makes outputs")
    from aiexp.board.server import show_board

    host, remote = flags.get("host", "127.0.0.1"), "allow-remote" in flags
    return show_board(paths, question_of(flags), host=host, port=port, allow_remote=remote, say=say)
