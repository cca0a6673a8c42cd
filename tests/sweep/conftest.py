"""A folder in which sweeps run jobs without torch, in processes that really die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.version import VersionBase, __compat_version__

from aiexp import cli
from tests.lab import Lab, make_lab
from tests.sweep import stand_in

# No torch for the forkserver, which imports what a job without torch needs, as the real one does. Jobs import
# this file too: what stands below its `if` is not theirs.
PROGRAM = """
import sys
if __name__ == "__main__":
    import aiexp.sweep.job
    import aiexp.sweep.search.objective
    from aiexp.cli import main
    aiexp.sweep.job.modules_of = lambda targets: ["aiexp.sweep.job"]
    aiexp.sweep.search.objective.evaluated_names = lambda first, preload: ['eval/loss']
    sys.exit(main(sys.argv[1:]))
"""


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command in this process, whose handler of SIGTERM comes back: exit code and stderr."""
    handler = signal.getsignal(signal.SIGTERM)
    code = cli.main(list(words))
    signal.signal(signal.SIGTERM, handler)
    return code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def _hydra_as_its_suites_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiexp sets Hydra's version base, for good; Hydra's own suites were written for the default."""
    monkeypatch.setattr(VersionBase.instance(), "version_base", __compat_version__)


class SweepLab:
    """Starts `aiexp` with the stand-in for runs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        folder = lab.root / "stand-in"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(Path(stand_in.__file__).read_text())
        (lab.root / "program.py").write_text(PROGRAM)
        root = Path(__file__).parent.parent.parent
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIEXP_")}
        self.environment = environment | {"PYTHONPATH": os.pathsep.join([str(folder), str(root)])}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "program.py", *words],
            cwd=self.lab.root, env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def aiexp(self, *words: str) -> tuple[int, str]:
        """Exit code and stderr."""
        process = self.start(*words)
        _, errors = process.communicate(timeout=240)
        return process.returncode, errors

    def sweeps(self) -> list[Path]:
        return sorted((self.lab.root / "outputs/toy").glob("*_sweep_*"))


@pytest.fixture
def sweep_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepLab:
    return SweepLab(make_lab(tmp_path, monkeypatch))


def wait_until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """Processes of the session of `pid`, and those that its forkserver has started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = [], [pid]
    while todo:
        found += (more := children.get(todo.pop(), []))
        todo += more
    return found


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
