"""What may be imported from the working directory: the user's own modules that a config names, and theirs.

The directory is not on `sys.path`. A library that tries an optional module (`opt_einsum`, `tabulate`) would
import a file of that name that happens to lie there, or was put there by whoever made the folder. Instead a
finder, asked after all others, answers only
- for a top-level name that was admitted, since an allowed `_target_` begins with it, and
- for what code below an admitted name imports itself (`import helpers`, at any time), which admits it too:
  whose import it is, the calling frame says. What a library imports while user code waits stays outside.
In the place of the working directory a folder of copies can stand, for the code of a run from elsewhere; what
was admitted of it is found there for good.
Packages without `__init__.py` are found too, and forked processes (jobs, loaders) inherit what was admitted.
"""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import final


@final
class WorkingDirectory(MetaPathFinder):
    """The finder; one a process, of the directory that it was last `entered` in."""

    def __init__(self) -> None:
        self._path = ""
        self._admitted: set[str] = set()
        self._copies: Path | None = None
        self._copied: dict[str, Path] = {}  # what was admitted of copies, and of which

    def enter(self) -> None:
        """Takes the current directory; what was admitted of another one is forgotten."""
        here = str(Path.cwd())
        if here != self._path:
            self._path, self._admitted = here, set()
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    @property
    def folder(self) -> Path:
        """Where the user's own code lies: the current directory, or what stands for it."""
        return self._copies or Path.cwd()

    @contextmanager
    def replaced_by(self, copies: Path) -> Generator[None]:
        """A body in which a folder that nobody else writes to stands for the working directory."""
        before, self._copies = self._copies, copies
        try:
            yield
        finally:
            self._copies = before

    def admit(self, name: str) -> None:
        """Lets the top-level module or package `name` be imported."""
        if self._copies is not None:
            self._copied[name] = self._copies
        else:
            self._admitted.add(name)

    def locate(self, name: str) -> ModuleSpec | None:
        """Where the top-level module `name` lies in the directory; neither imported nor admitted."""
        return PathFinder.find_spec(name, [str(self._copies or self._path)])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """As the import system asks."""
        if path is not None or "." in fullname or not (self._admitted or self._copied):
            return None
        asking = importer()
        copies = self._copied.get(fullname) or self._copied.get(asking)
        if copies is not None:
            spec = PathFinder.find_spec(fullname, [str(copies)])
            if spec is not None:
                self._copied[fullname] = copies
            return spec
        if fullname not in self._admitted and asking not in self._admitted:
            return None
        spec = PathFinder.find_spec(fullname, [self._path])
        if spec is not None:
            self._admitted.add(fullname)
        return spec


def importer() -> str:
    """The top-level name of the module whose code has asked for an import."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if name != "importlib" and frame.f_globals is not globals():
            return name
        frame = frame.f_back
    return ""


WORKING_DIRECTORY = WorkingDirectory()
