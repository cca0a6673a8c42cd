"""How much a server takes, and how long it takes."""

from dataclasses import dataclass

from aiexp.prediction.inputs import Json

MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one server.

    Args:
        bytes: Of a request's body.
        inputs: In a request.
        waiting: Requests that are read or waiting to be answered; more are sent away.
        waiting_bytes: Of their bodies.
        seconds: To read a request, and again to answer it.
        batch: Inputs that a task gets at once.
        explanations: That wait or are made, for all runs together; more are sent away.
    """

    bytes: int = MEGABYTE
    inputs: int = 256
    waiting: int = 1024
    waiting_bytes: int = 256 * MEGABYTE
    seconds: float = 30.0
    batch: int = 32
    explanations: int = 8


def limits_for(schema: Json) -> Limits:
    """The limits for a kind of inputs: files in base64 are larger than anything else."""
    return Limits(bytes=16 * MEGABYTE) if "contentEncoding" in repr(schema) else Limits()
