"""What a run ended by, in words for its user."""

from pathlib import Path

from aiexp.checkpoint.manifest import saved_steps
from aiexp.errors import HardwareError, Stopped
from aiexp.hardware.memory import is_out_of_memory
from aiexp.limits import limit_error, memory_error
from aiexp.rundir.file import CHECKPOINTS
from aiexp.rundir.named import short_name
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.text.terminal import resume_command
from aiexp.world.failure import peer_lost


def explain(error: BaseException, path: Path, shown_path: str, stop: StopSignal) -> BaseException:
    """The user's error behind an exception, or the exception itself if it is a bug.

    Args:
        error: What ended the run.
        path: The run directory.
        shown_path: The same as a user would type it.
        stop: Whether it was a signal.
    """
    if isinstance(error, StopRequested | KeyboardInterrupt) or stop.has_raised:
        steps = saved_steps(path / CHECKPOINTS)
        saved = f"step {steps[-1]} is saved" if steps else "before the first checkpoint"
        return Stopped(
            f"stopped, {saved}",
            exit_code=stop.exit_code if stop.requested else 130,
            fix=resume_command(short_name(Path(shown_path))),
        )
    if is_out_of_memory(error):
        return memory_error(error)
    if isinstance(error, RuntimeError) and "does not currently support double backward" in str(error):
        return HardwareError(
            "compiled networks have no second derivatives, which this loss needs",
            where="Hardware.compile", fix="Hardware.compile=false",
        )  # fmt: skip
    return peer_lost(error) or limit_error(error) or error
