"""A run trained by the ranks that torchrun has started, on one machine or several: the same command on each.

Each has composed the config by itself. The leader makes the run directory, or finds the one of this job's
earlier start, and tells where it is; who cannot see it says so. torchrun itself needs a trusted network.
"""

import hashlib
import json
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, Protocol, final

from aiexp.config.dotted import flatten
from aiexp.config.objects.build import build
from aiexp.errors import AiexpError, ConfigError, DivergedError, HardwareError, Stopped, StorageError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, RANKS, STATUS
from aiexp.rundir.state import State
from aiexp.session.ended import Bug, RunEnded, cause_of, end, patient_cause, stacks
from aiexp.session.launcher import LOOPBACK, correct_status, fresh_logs, own_devices
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.storage.files import storage_errors, write_json
from aiexp.text.secrets import redact, redact_text
from aiexp.text.terminal import say
from aiexp.world.failure import LastWord, PeerLostError
from aiexp.world.torchrun import Place, speak_into, tell_torchrun
from aiexp.world.watch import LONGEST_PAUSE, TURN_SECONDS
from aiexp.world.world import FOLDER, World, rank_file

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware

JOBS = ".elastic"  # in the folder of outputs: where the run of a job of torchrun lies
AGREED = (Stopped, DivergedError)  # all ranks end by these at the same point
SEEN_SECONDS = 10.0  # until what one machine has written is seen by the others
SAY_SECONDS = 1.0  # that the leader has to say why, before another's exit makes torchrun end it
SAME_DEVICE = "as many ranks on a machine as it has GPUs, or hardware=cpu"
TRUST = "note: whoever reaches torchrun's port can run code here; see SECURITY.md"


class Train(Protocol):
    """`aiexp.run.train`."""

    def __call__(
        self,
        directory: RunDirectory,
        config: dict[str, Any],
        hardware: "Hardware",
        stop: StopSignal,
        changes: list[str] | None = None,
    ) -> int:
        """Trains; returns the exit code."""
        ...


def join(
    config: dict[str, Any], make: Callable[[], RunDirectory], train: Train, changes: list[str] | None = None
) -> Never:
    """Trains a run as the rank that torchrun says, and ends this process.

    Args:
        config: Checked and resolved.
        make: Makes the run directory, or finds the one to resume; asked of the leader.
        train: `aiexp.run.train`.
        changes: What was typed when resuming; None for a new run.
    """
    joined = Joined(Place.take(), config, changes)
    try:
        exit_code = joined.run(make, train)
    except AiexpError as error:
        exit_code = joined.failed(error)
    except Exception as error:
        exit_code = joined.failed(joined.bug(error))
    end(exit_code)


@final
class Joined:
    """This process among its ranks.

    Args:
        place: Which it is.
        config: Checked and resolved.
        changes: What was typed when resuming; None for a new run.
    """

    def __init__(self, place: Place, config: dict[str, Any], changes: list[str] | None) -> None:
        self.place, self.config, self.changes = place, config, changes
        self.world = World(place.rank, place.size)
        self.digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
        self.directory: RunDirectory | None = None  # once all know it
        self.ending = threading.Lock()  # of who says how this process ends: its main thread, or `stalled`

    def run(self, make: Callable[[], RunDirectory], train: Train) -> int:
        """Meets the others and trains with them; returns 0."""
        place = self.place
        own_devices(place.local_rank, place.local_size)
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        if place.local_size == place.size:  # nobody else needs to reach us
            os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", LOOPBACK)
        hardware: Hardware = build(self.config["hardware"])
        with StopSignal(same_seconds=5.0) as stop:
            try:
                hardware.set_environment()
                with stop.interruptible():
                    hardware.world.start(hardware.device_type, hardware.timeout)
                self.world = hardware.world
                self.check_config()
                odd = self.world.odd_rank(hardware.device_type)
                if odd is not None:
                    raise HardwareError(f"rank {odd} has another kind of device than rank 0", fix=SAME_DEVICE)
                directory = self.agree_on_directory(make)
                with directory.starting():
                    exit_code = train(directory, self.config, hardware, stop, self.changes)
                if self.world.is_leader and self.note is not None:
                    self.note.unlink(missing_ok=True)  # it has ended: nothing to go on with
                return exit_code
            except StopRequested:
                raise Stopped("stopped, before it had begun", exit_code=stop.exit_code) from None

    def check_config(self) -> None:
        """Raises `ConfigError` unless all ranks were given the same."""
        odd = self.world.odd_rank(self.digest)
        if odd is None:
            return
        configs = self.world.gather(
            {key: redact_text(str(value)) for key, value in flatten(redact(self.config)).items()}
        )
        ours, theirs = configs[0], configs[odd]
        key = next((key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)), "a secret")
        what = f"rank {odd} has {key}={theirs.get(key)}, rank 0 has {key}={ours.get(key)}"
        raise ConfigError(what, where="torchrun", fix="the same command and the same conf/ on every machine")

    def agree_on_directory(self, make: Callable[[], RunDirectory]) -> RunDirectory:
        """The run's directory, which the leader makes or finds and everyone sees."""
        if self.world.is_leader:
            directory = self.earlier() or make()
            fresh_logs(directory.path / RANKS)
            self.remember(directory)
            say(TRUST)
            path = str(directory.path.absolute())
        else:
            path = None
        directory = RunDirectory(Path(self.world.from_leader(path)))
        deadline = time.monotonic() + SEEN_SECONDS
        while not (sees := (directory.path / CONFIG).is_file()) and time.monotonic() < deadline:
            time.sleep(0.1)
        answers = self.world.gather([sees, socket.gethostname()])
        for rank, (others_see, host) in enumerate(answers):
            if not others_see:
                raise StorageError(
                    f"rank {rank} on {host} does not see the run directory", where=str(directory.path),
                    fix="outputs= in a folder that all machines share",
                )  # fmt: skip
        self.directory = directory
        logs = directory.path / RANKS
        os.environ[FOLDER] = str(logs)
        self.world.stalled = self.stalled
        if self.world.rank:
            speak_into(rank_file(logs, self.world.rank, "log"))
        return directory

    @property
    def note(self) -> Path | None:
        """Where it is written down which run is this job's; None for a job without a name."""
        if not self.place.job or self.changes is not None:
            return None
        name = re.sub(r"[^A-Za-z0-9._-]", "-", self.place.job)[:100].lstrip(".")
        return Path(str(self.config["outputs"])).expanduser() / JOBS / name

    def earlier(self) -> RunDirectory | None:
        """The run that an earlier start of this job has begun and not ended, of the same config."""
        if self.note is None:
            return None
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            directory = RunDirectory.open(Path(noted["directory"]))
            state = directory.read(STATUS).get("state")
        except (OSError, ValueError, KeyError, TypeError, AiexpError):
            return None
        goes_on = noted.get("config") == self.digest and state not in (State.FINISHED, State.PRUNED)
        return directory if goes_on else None

    def remember(self, directory: RunDirectory) -> None:
        """Writes down which run is this job's."""
        if self.note is not None:
            with storage_errors("writing down the run of this job", self.note):
                self.note.parent.mkdir(parents=True, exist_ok=True)
                write_json(self.note, {"directory": str(directory.path.absolute()), "config": self.digest})

    def failed(self, error: AiexpError) -> int:
        """Says why, to the user or to the leader; returns this process's exit code.

        The first exit code that is not 0 makes torchrun end the others. So where all end at the same point
        only the leader has one, when it has done.
        """
        self.ending.acquire()
        is_agreed = isinstance(error, AGREED)
        if self.directory is not None and not is_agreed:
            with suppress(OSError):
                LastWord.of(error).write(rank_file(self.directory.path / RANKS, self.world.rank, "json"))
        if self.directory is not None and self.world.is_leader and isinstance(error, PeerLostError):
            error = self.cause(self.directory) or error
        lines = error.lines()
        for line in lines:  # a follower's go into its log
            say(line)
        if is_agreed and self.world.rank:
            return 0
        tell_torchrun(lines[0])
        return error.exit_code

    def cause(self, directory: RunDirectory) -> RunEnded | None:
        """What ranks have left before they were lost; status.json then says it too."""
        cause = patient_cause(lambda: cause_of(directory.path / RANKS, {}, set(), None))
        if cause is not None and cause.exit_code != PeerLostError.exit_code:
            correct_status(directory, cause)
        return cause

    def stalled(self) -> None:
        """Ends this rank, which has stood still for too long; says who it was when all have written where.

        Nobody else can: torchrun knows only that they have ended.
        """
        self.ending.acquire()
        directory, deadline = self.directory, time.monotonic() + LONGEST_PAUSE + TURN_SECONDS
        assert directory is not None  # there is a watch only once there is one
        while len(stacks(directory.path / RANKS)) < self.world.size and time.monotonic() < deadline:
            time.sleep(0.1)
        cause = self.cause(directory)
        if self.world.rank:
            time.sleep(SAY_SECONDS)
        if cause is not None:
            say(cause.line())
            tell_torchrun(cause.line())
        end(1 if cause is None else cause.exit_code)

    def bug(self, error: Exception) -> AiexpError:
        """The error for one that nobody expected; its traceback goes into this rank's log."""
        text = redact_text("".join(traceback.format_exception(error)))
        if self.directory is None:
            return Bug(error, self.world.rank, text)
        with suppress(OSError):
            path = rank_file(self.directory.path / RANKS, self.world.rank, "log")
            with path.open("a", encoding="utf-8") as log:
                log.write(text)
        return Bug(error, self.world.rank)
