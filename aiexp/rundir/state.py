"""How far a run or a job of a sweep has come, as status.json and the ledger say it."""

from enum import StrEnum
from typing import final


@final
class State(StrEnum):
    """A run's state. The last two are never written: a reader finds them out."""

    STARTING = "starting"  # its directory is being made
    RUNNING = "running"  # a process holds its lock
    FINISHED = "finished"
    PRUNED = "pruned"  # ended by the search that it is a trial of
    STOPPED = "stopped"  # by Ctrl-C or SIGTERM, after a checkpoint
    FAILED = "failed"
    DIED = "died"  # says that it works, and no process does
    DAMAGED = "damaged"  # a file of it cannot be read or is not what was written

    @classmethod
    def of_exit_code(cls, exit_code: int) -> "State":
        """The state that an exit code means."""
        return {0: cls.FINISHED, 130: cls.STOPPED, 143: cls.STOPPED}.get(exit_code, cls.FAILED)


UNDER_WAY = frozenset({State.STARTING, State.RUNNING})
COMPLETE = frozenset({State.FINISHED, State.PRUNED})  # nothing is left to be done
WRITTEN = tuple(state for state in State if state not in (State.DIED, State.DAMAGED))
