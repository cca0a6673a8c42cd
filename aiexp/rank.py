"""One rank of a run: `python -m aiexp.rank`, started by `aiexp.session.launcher`."""

import ctypes
import json
import os
import shutil
import signal
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiexp.errors import AiexpError
from aiexp.session.ended import Bug, end
from aiexp.session.launcher import CORES, PARENT
from aiexp.session.stop import ALWAYS, StopSignal
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import say
from aiexp.world.failure import LastWord
from aiexp.world.world import FOLDER, STORE, World, rank_file

_PR_SET_PDEATHSIG = 1


def main(job: dict[str, Any]) -> int:
    """Trains as the rank that the environment says; returns the exit code and leaves its last word.

    Args:
        job: What the launcher has written: the run directory, the config, what was typed when resuming, the
            sweep and the number of a run that a search may end early; or the steps to train once more.
    """
    with StopSignal(same_seconds=5.0) as stop:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALWAYS)  # Ray's processes block one of them
        leave_with_launcher()
        if cores := os.environ.get(CORES):
            os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
        world = World.from_environment()
        word = rank_file(Path(os.environ[FOLDER]), world.rank, "json")
        try:
            return run(job, stop)
        except AiexpError as error:
            LastWord.of(error).write(word)
            for line in error.lines() if world.rank else []:
                say(line)  # into the log; the launcher tells the user
            return error.exit_code
        except Exception as error:
            text = redact_text("".join(traceback.format_exception(error)))
            with rank_file(Path(os.environ[FOLDER]), world.rank, "log").open("a", encoding="utf-8") as log:
                log.write(text)
            LastWord.of(Bug(error, world.rank, "see above" if "span" in job else "")).write(word)
            return 1
        finally:
            if world.is_leader and STORE in os.environ:  # a launcher that was killed has left it behind
                shutil.rmtree(Path(os.environ[STORE]).parent, ignore_errors=True)


def run(job: dict[str, Any], stop: StopSignal) -> int:
    """Trains what a job says.

    Args:
        job: As `main` takes it.
        stop: Hears signals.
    """
    from aiexp.config.objects.build import build  # signals are heard by now
    from aiexp.run import train
    from aiexp.rundir.code.own_code import own_code_of
    from aiexp.rundir.directory import RunDirectory

    directory, config, pruning = RunDirectory(Path(job["directory"])), job["config"], None
    if job["trial"] is not None:
        from aiexp.sweep.search.pruning import job_pruning

        pruning = job_pruning(Path(job["trial"][0]), job["trial"][1])
    with ExitStack() as limits:
        if job["changes"] is not None:  # resumed: only code that the run recorded as the user's own
            limits.enter_context(own_code_of(directory.path))
        if "span" in job:
            from aiexp.runs.replay import replay_together

            replay_together(job, directory, stop)
            return 0
        return train(directory, config, build(config["hardware"]), stop, job["changes"], pruning)


def leave_with_launcher() -> None:
    """From now on this process is asked to stop when the launcher is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ[PARENT]):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    end(main(json.load(sys.stdin)))
