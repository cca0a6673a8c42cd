"""The process `aiexp`, which is also `python -m aiexp`: its first and last moments."""

import os
import signal
import sys
from contextlib import suppress

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python imports, Ctrl-C ends it without a traceback

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the working directory, which `-m` puts before everything: see working_directory.py

from aiexp.cli import main
from aiexp.session.imports import is_importing


def start() -> int:
    """Runs the process's command line; returns its exit code."""
    try:
        exit_code = main()
    finally:  # the exit code is decided: Ctrl-C while Python tidies up must not make another of it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if is_importing():  # ended before the first step: all is written, and torch takes seconds
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader has left
                stream.flush()
        os._exit(exit_code)
    return exit_code


if __name__ == "__main__":
    sys.exit(start())
