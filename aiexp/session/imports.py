"""What is imported in a thread, while data and weights are read."""

import importlib
import threading
from contextlib import suppress

_NAME = "aiexp imports"


def import_behind() -> None:
    """Imports in a thread what the first step will need.

    An optimizer's first step imports torch's compiler though nothing is compiled: 1.7 s. Python itself ends
    when the thread has, since it must not in the middle of an import.
    """

    def import_ahead() -> None:
        with suppress(Exception):  # it only saves time: whoever needs the module says what is wrong with it
            importlib.import_module("torch._dynamo")

    threading.Thread(target=import_ahead, name=_NAME).start()


def is_importing() -> bool:
    """Whether the thread is still at work, so that Python would wait for it at its end."""
    return any(thread.name == _NAME for thread in threading.enumerate())
