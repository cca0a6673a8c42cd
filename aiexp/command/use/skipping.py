"""Inputs that cannot be read: one ends a command, or they are passed over, named and counted."""

from typing import final

from aiexp.command.flags import Flag
from aiexp.errors import AiexpError, DataError
from aiexp.text.terminal import say

SKIP_BAD = Flag("--skip-bad", "go on after inputs that cannot be read; they are named and counted")
MOST_NAMED = 10


@final
class Skipping:
    """Counts the inputs of a command.

    Args:
        is_allowed: Whether those that cannot be read are passed over.
    """

    def __init__(self, *, is_allowed: bool) -> None:
        self.is_allowed = is_allowed
        self.good, self.bad = 0, 0

    def pass_over(self, name: str, error: AiexpError) -> None:
        """Takes an input that cannot be read, and why.

        Raises:
            DataError: such are not passed over.
        """
        if not self.is_allowed:
            fix = error.fix or "correct it, or leave such inputs out: --skip-bad"
            raise DataError(error.what, where=name, fix=fix) from error
        self.bad += 1
        if self.bad <= MOST_NAMED:
            say(f"skipped   {name}: {error.what}")

    def end(self) -> None:
        """Says how many there were.

        Raises:
            DataError: none could be read, or there was none.
        """
        if self.bad:
            say(f"skipped   {self.bad} of {self.good + self.bad} inputs")
        if not self.good:
            raise DataError(
                "there was no input that could be read" if self.bad else "there was no input at all"
            )
