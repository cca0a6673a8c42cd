"""A sweep's directory from someone else: it brings no overrides, folders, code or paths of its own."""

import json
import signal
from pathlib import Path

import pytest
import yaml

from aiexp import cli
from aiexp.sweep.definition import Definition
from tests.lab import Lab, make_lab
from tests.sweep.stand_in import stub

WORDS = ["run", "-m", "seed=0,1", "hydra/launcher=basic"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setitem(__import__("sys").modules, "aiexp.run", stub)
    return make_lab(tmp_path, monkeypatch)


@pytest.fixture
def sweep(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Path:
    assert call(capsys, *WORDS)[0] == 0
    (sweep,) = (lab.root / "outputs/toy").glob("*_sweep_*")
    return sweep


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    handler = signal.getsignal(signal.SIGTERM)
    code = cli.main(list(words))
    signal.signal(signal.SIGTERM, handler)
    return code, capsys.readouterr().err


@pytest.mark.parametrize("change", ["config_dir", "overrides", "user", "folder", "no signature"])
def test_a_definition_that_is_not_yours_is_read_by_you_first(
    lab: Lab, sweep: Path, change: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sweep / "sweep.yaml"
    lab.write("gift/conf/model/gift.yaml", "# A gift\n_target_: gift.evil.Model\nwidth: 1\n")
    lab.write("gift/evil.py", "open('canary', 'w').close()\nclass Model: ...\n")
    value = yaml.safe_load(path.read_text())
    if change == "config_dir":
        value["config_dir"] = "gift/conf"
    if change in ("config_dir", "overrides"):
        value["overrides"] += ["model=gift"]
        path.write_text(yaml.safe_dump(value, sort_keys=False))
    if change == "no signature":
        path.write_text(path.read_text().rpartition("signature")[0])
    if change == "user":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.root / "config"))
    if change == "folder":
        monkeypatch.setenv("AIEXP_CONF", str(lab.root / "conf"))
        monkeypatch.chdir(lab.root / "gift")
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "you have not started this sweep in this folder" in errors) == (10, True)
    assert "aiexp run -m seed=0,1 hydra/launcher=basic" in errors
    assert not (lab.root / "canary").exists()


def test_your_own_goes_on_and_so_does_any_that_you_type(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "2 of 2 jobs are complete already" in errors) == (0, True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.root / "config"))
    assert Definition.read(sweep).command == "aiexp run -m seed=0,1 hydra/launcher=basic --resume"
    code, errors = call(capsys, *WORDS, "--resume")
    assert (code, "2 of 2 jobs are complete already" in errors) == (0, True)


@pytest.mark.parametrize("name", ["../../precious", "/tmp", "..", ".", "a/b"])
def test_a_ledger_that_leads_elsewhere_is_refused(
    lab: Lab, sweep: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write("outputs/precious/config.yaml", "mine")
    ledger = sweep / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    lines = [line for line in lines if line["event"] == "planned"]
    lines.append({"event": "started", "job": 0, "directory": name})
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "does not lie in the sweep's" in errors) == (10, True)
    assert (lab.root / "outputs/precious/config.yaml").read_text() == "mine"


def test_a_link_in_place_of_a_jobs_directory_is_refused(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write("precious/config.yaml", "mine")
    (sweep / "000_seed=0_aaaaaa").symlink_to(lab.root / "precious")
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "with a link in it is not resumed" in errors) == (10, True)
    assert (lab.root / "precious/config.yaml").read_text() == "mine"
