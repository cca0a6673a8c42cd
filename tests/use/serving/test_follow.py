"""A link that moves: the run behind it takes over when it is finished and whole, and nobody waits for it."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from aiexp.errors import CheckpointError
from aiexp.listening import bound
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.follow import Follower, Watch
from aiexp.use.serving.limits import Limits
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.reasons import Reasons
from aiexp.use.serving.served import ServedRun
from aiexp.use.serving.serving import serve_runs
from tests.forks import in_fork
from tests.use.serving.stubs import Brightness, Stub, make_model, png


def point(link: Path, path: Path) -> None:
    """Moves a link in one go, as a run does."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(path)
    fresh.replace(link)


class Followed:
    """A link, what answers through it, and what was said.

    Args:
        folder: Of runs by name.
        load: A run from its path.
    """

    def __init__(self, folder: Path, served: ServedRun, load: Callable[[Path], Model]) -> None:
        self.folder, self.served = folder, served
        self.said: list[str] = []
        self.watch = Watch(served, load, self.said.append)

    def looks(self, name: str, state: str = "finished") -> tuple[bool, str]:
        """Whether another takes over when the link leads to that run, and who answers then."""
        make_model(Stub(), self.folder, name, state)
        point(self.folder / "latest", self.folder / name)
        return self.watch.look(), self.served.run.directory.path.name


@contextmanager
def followed(folder: Path, load: Callable[[Path], Model] | None = None) -> Iterator[Followed]:
    first = make_model(Stub(), folder, "first")
    point(folder / "latest", folder / "first")
    reasons = Reasons(Limits().explanations)
    served = ServedRun("toy", folder / "latest", first, Limits(), Metrics(), reasons)
    yield Followed(folder, served, load or (lambda path: make_model(Stub(path.name), path.parent, path.name)))
    served.close()
    reasons.close()


def test_the_run_that_the_link_leads_to_takes_over(tmp_path: Path) -> None:
    with followed(tmp_path) as link:
        assert link.looks("first") == (False, "first")
        assert link.looks("second") == (True, "second")
        assert link.looks("second") == (False, "second")
        assert link.said == ["toy: second has taken over, step 7"]
        text = link.served.metrics.text().decode()
        assert 'aiexp_reloads_total{run="toy"} 1.0' in text
        assert 'aiexp_run_step{directory="second",run="toy"} 7.0' in text
        assert 'directory="first"' not in text


def test_a_run_at_work_takes_over_when_it_has_finished(tmp_path: Path) -> None:
    with followed(tmp_path) as link:
        assert link.looks("second", "running") == (False, "first")
        assert link.looks("second", "running") == (False, "first")
        assert link.said == ["toy: second is running: it takes over when it has finished"]
        assert link.looks("second", "finished") == (True, "second")


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_a_run_that_has_not_finished_leaves_the_old_one(tmp_path: Path, state: str) -> None:
    with followed(tmp_path) as link:
        assert link.looks("second", state) == (False, "first")
        assert link.said == [f"toy: second is {state}: it does not take over"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CheckpointError("the checkpoint is damaged"), "the checkpoint is damaged"),
        (MemoryError("no memory"), "no memory"),
        (KeyError("a bug"), "'a bug'"),
    ],
)
def test_a_broken_run_leaves_the_old_one_and_the_next_takes_over(
    tmp_path: Path, error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(path: Path) -> Model:
        if path.name == "second":
            raise error
        return make_model(Stub(), path.parent, path.name)

    with followed(tmp_path, load) as link:
        assert link.looks("second") == (False, "first")
        assert link.looks("second") == (False, "first")
        assert link.said == [f"toy: second cannot take over: {line}"]
        assert ("Traceback" in capsys.readouterr().err) == isinstance(error, KeyError)
        assert link.looks("third") == (True, "third")


def test_a_run_on_other_inputs_and_a_link_to_nothing_leave_the_old_one(tmp_path: Path) -> None:
    with followed(tmp_path, lambda path: make_model(Brightness(), path.parent, path.name)) as link:
        assert link.looks("second") == (False, "first")
        assert link.said == ["toy: second does not take over: it takes a picture"]
        point(tmp_path / "latest", tmp_path / "nothing")
        assert not link.watch.look()
        (tmp_path / "empty").mkdir()
        point(tmp_path / "latest", tmp_path / "empty")
        assert not link.watch.look()


def test_the_old_one_answers_until_the_new_one_is_ready(tmp_path: Path) -> None:
    loading, ready = threading.Event(), threading.Event()

    def load(path: Path) -> Model:
        loading.set()
        assert ready.wait(20)
        return make_model(Stub("new"), path.parent, path.name)

    with followed(tmp_path, load) as link:
        follower = Follower([link.watch], seconds=0.01)
        make_model(Stub(), tmp_path, "second")
        point(tmp_path / "latest", tmp_path / "second")
        assert loading.wait(20)
        assert link.served.run.directory.path.name == "first"
        ready.set()
        while link.served.run.directory.path.name != "second":
            time.sleep(0.005)
        follower.close()


@pytest.mark.parametrize("engine", ["eager", "onnx"])
def test_runs_change_over_under_load_and_a_damaged_one_does_not(
    tmp_path: Path, pictures: Path, engine: str
) -> None:
    runs = [Path(shutil.copytree(pictures, tmp_path / name)) for name in ("a", "b", "broken")]
    for weights in runs[2].glob("checkpoints/*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-100])
    link = tmp_path / "moves"
    point(link, runs[0])
    with bound("127.0.0.1", 0) as socket:
        port = socket.getsockname()[1]
    picture = png(7, 20)

    def body() -> int:
        said: list[str] = []
        thread = threading.Thread(target=ask_while_it_moves, args=[port, picture, link, runs, said])
        thread.start()
        code = serve_runs(
            [link],
            host="127.0.0.1",
            port=port,
            allow_remote=False,
            follow=True,
            engine=engine,
            say=said.append,
        )
        thread.join()
        return code

    ended = in_fork(body, tmp_path)
    assert ended.code == 143, ended.stderr
    assert ended.stdout == "200 only; a then b\n"


def ask_while_it_moves(port: int, picture: bytes, link: Path, runs: list[Path], said: list[str]) -> None:
    """Asks one after the other, moves the link meanwhile, ends the process."""
    import base64

    codes, names = set[int](), list[str]()

    def ask_until(done: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not done() and time.monotonic() < until:
            response = client.post("/predict", json={"inputs": [base64.b64encode(picture).decode()]})
            codes.add(response.status_code)
            names.append(response.json()["run"])

    while not any("address" in line for line in said):
        time.sleep(0.01)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=20)
    ) as client:
        ask_until(lambda: len(names) > 5)
        point(link, runs[1])
        ask_until(lambda: names[-1] == "b")
        point(link, runs[2])
        ask_until(lambda: any("broken cannot take over" in line for line in said))
        ask_until(iter([False, False, True]).__next__)
    print(*sorted(codes), "only;", " then ".join(dict.fromkeys(names)), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
