"""Config-driven deep-learning experiments: compose, run, resume bit-exactly, compare.

In Python: `aiexp.run("task=mnist_cnn")`, `aiexp.load("outputs/latest").predict([...])`, `aiexp.runs()`,
`aiexp.compare()`; see `aiexp.python`.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiexp.python import Run, compare, load, run, runs

__all__ = ["Run", "compare", "load", "run", "runs"]
__version__ = "0.1.0"


class _Package(ModuleType):
    """This package: what it offers stays a function where a room has the same name (`aiexp.run`)."""

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'aiexp' has no attribute '{name}'")
        from aiexp import python

        return getattr(python, name)

    def __dir__(self) -> list[str]:
        return [*__all__, "__doc__", "__version__"]  # what a notebook completes: not the rooms

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):  # `import aiexp.run` would bind the room
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
