"""From a command line to a checked config: `compose`, and `validate` for a stored one. Imports no torch."""

from aiexp.config.compose import Composed, Job, compose
from aiexp.config.validate import validate

__all__ = ["Composed", "Job", "compose", "validate"]
