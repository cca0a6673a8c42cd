"""`aiexp export --push`: what reaches a hub, and what is said where none can be reached."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.runs.loaded import load_run
from aiexp.use.exporting.export import Request, export
from tests.use.loopback_hub import TOKEN, Hub, loopback_hub

REPOSITORY = Path(__file__).parents[2]
# As the command does; the client reads where the hub is when it is imported, so in a process of its own.
PROGRAM = """
import sys
from pathlib import Path
from aiexp.errors import AiexpError
from aiexp.use.exporting.push import check_push, push
try:
    check_push(sys.argv[2])
    print(push(Path(sys.argv[1]), sys.argv[2]))
except AiexpError as error:
    print(*error.lines(), sep="\\n", file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def folder(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a run."""
    out = tmp_path_factory.mktemp("export") / "weights"
    return export(load_run(texts), Request(form="weights", out=out), lambda _: None)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with loopback_hub() as running:
        yield running


def pushed(folder: Path, home: Path, address: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Pushes to me/reviews of a hub at an address."""
    hidden = ("HF_", "HUGGING", "AIEXP_", "HTTP_", "HTTPS_", "http_", "https_", "ALL_", "all_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "HF_TOKEN": TOKEN, **settings}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), "me/reviews"],
        cwd=home, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_everything_arrives_in_a_private_repository_by_ones_own_login(
    folder: Path, tmp_path: Path, hub: Hub
) -> None:
    ended = pushed(folder, tmp_path, hub.address)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == f"{hub.address}/me/reviews"
    (created,) = hub.created
    assert (created["organization"], created["name"]) == ("me", "reviews")
    assert "private" in str(created)
    assert "public" not in str(created)
    assert hub.files == contents(folder)
    assert {"README.md", "config.yaml", "export.json", "model.safetensors"} <= hub.files.keys()
    assert len(hub.objects) == 1  # the weights, apart from git
    assert hub.summary == "Exported by aiexp"
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in ended.stdout
    assert ended.stderr == ""  # no bar in a file


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/repos/create", 401), ("/api/models/me/reviews/commit/main", 403)],
)  # fmt: skip
def test_what_the_hub_refuses_is_one_line_that_keeps_the_folder(
    folder: Path, tmp_path: Path, hub: Hub, path: str, status: int
) -> None:
    hub.refuses = {path: status, "/api/models/me/reviews": 401}
    before = contents(folder)
    ended = pushed(folder, tmp_path, hub.address)
    assert ended.returncode == 5
    (line,) = [line for line in ended.stderr.splitlines() if "error[" in line]
    assert "the hub did not take it" in line
    assert str(status) in line
    assert f"hf upload me/reviews {folder}" in line
    assert "Traceback" not in ended.stderr
    assert TOKEN not in ended.stderr
    assert hub.files == {}
    assert contents(folder) == before


def test_a_hub_that_does_not_answer_is_one_line(folder: Path, tmp_path: Path) -> None:
    with loopback_hub() as gone:
        pass
    ended = pushed(folder, tmp_path, gone.address)
    assert ended.returncode == 5
    (line,) = ended.stderr.splitlines()
    assert "the hub did not take it" in line


@pytest.mark.parametrize(
    ("setting", "said", "fix"),
    [
        ({"AIEXP_OFFLINE": "1"}, "nothing can be pushed offline", "unset AIEXP_OFFLINE"),
        ({"HF_HUB_OFFLINE": "1"}, "nothing can be pushed offline", "unset HF_HUB_OFFLINE"),
        ({"HF_TOKEN": ""}, "nobody is logged in", "hf auth login"),
    ],
)
def test_without_a_network_or_a_login_nothing_is_asked(
    folder: Path, tmp_path: Path, hub: Hub, setting: dict[str, str], said: str, fix: str
) -> None:
    ended = pushed(folder, tmp_path, hub.address, **setting)
    assert ended.returncode == 5
    (line,) = ended.stderr.splitlines()
    assert said in line
    assert line.endswith(f"fix: {fix}")
    assert hub.paths == []


def test_the_command_refuses_before_it_exports(
    texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(texts), "--to", "weights", "--push", "me/reviews"]
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    assert cli.main(words) == 5
    monkeypatch.setenv("AIEXP_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert cli.main(words) == 5
    offline, login = capsys.readouterr().err.splitlines()
    assert "nothing can be pushed offline" in offline
    assert "nobody is logged in" in login
    assert not (texts / "exports").exists()


def test_the_command_says_where_it_lies(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("aiexp.use.exporting.push.check_push", asked.append)
    monkeypatch.setattr("aiexp.use.exporting.push.push", lambda *words: asked.append(words) or "an address")
    words = ["--to", "weights", "--out", str(tmp_path / "out"), "--push", "me/stripes"]
    assert cli.main(["export", str(pictures), *words]) == 0
    assert asked == ["me/stripes", (tmp_path / "out", "me/stripes")]
    assert capsys.readouterr().out.splitlines()[-1] == "pushed    an address"
