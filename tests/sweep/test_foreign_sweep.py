"""A sweep's directory from someone else: it brings no overrides, folders, code or paths of its own."""

import json
from pathlib import Path

import pytest
import yaml

from aiexp.errors import SecurityError
from aiexp.sweep.definition import Definition
from aiexp.sweep.ledger import Ledger
from tests.lab import Lab, make_lab
from tests.sweep.conftest import call
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


def test_a_definition_that_is_not_yours_is_read_by_you_first(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        code, errors = call(capsys, "resume", str(sweep))
        assert (code, "you have not started this sweep in this folder" in errors) == (10, True)
        assert "aiexp run -m seed=0,1 hydra/launcher=basic" in errors

    path = sweep / "sweep.yaml"
    text = path.read_text()
    value = yaml.safe_load(text)
    lab.write("gift/conf/model/gift.yaml", "# A gift\n_target_: gift.evil.Model\nwidth: 1\n")
    lab.write("gift/evil.py", "open('canary', 'w').close()\nclass Model: ...\n")
    for gift in (
        value | {"config_dir": "gift/conf", "overrides": [*value["overrides"], "model=gift"]},
        value | {"overrides": [*value["overrides"], "model._target_=gift.evil.Model"]},
    ):
        path.write_text(yaml.safe_dump(gift, sort_keys=False))
        refused()
    path.write_text(text.rpartition("signature")[0])
    refused()
    path.write_text(text)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(lab.root / "config"))  # another user
        refused()
    with monkeypatch.context() as patch:
        patch.setenv("AIEXP_CONF", str(lab.root / "conf"))
        patch.chdir(lab.root / "gift")
        refused()
    assert not (lab.root / "canary").exists()
    assert call(capsys, "resume", str(sweep))[0] == 0


def test_your_own_goes_on_and_so_does_any_that_you_type(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "2 of 2 jobs are complete already" in errors) == (0, True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.root / "config"))
    assert Definition.read(sweep).command == "aiexp run -m seed=0,1 hydra/launcher=basic --resume"
    code, errors = call(capsys, *WORDS, "--resume")
    assert (code, "2 of 2 jobs are complete already" in errors) == (0, True)


def test_a_ledger_that_leads_elsewhere_is_refused(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write("outputs/precious/config.yaml", "mine")
    ledger = sweep / "ledger.jsonl"
    planned = [line for line in ledger.read_text().splitlines() if '"planned"' in line]
    for event in ("started", "ended"):
        for name in ("../../precious", "/tmp", "..", ".", "a/b"):
            line = json.dumps({"event": event, "job": 0, "directory": name})
            ledger.write_text("\n".join([*planned, line]) + "\n")
            with pytest.raises(SecurityError, match="does not lie in the sweep's"):
                Ledger(sweep).entries()
    assert call(capsys, "resume", str(sweep))[0] == 10
    assert (lab.root / "outputs/precious/config.yaml").read_text() == "mine"


def test_a_link_in_place_of_a_jobs_directory_is_refused(
    lab: Lab, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write("precious/config.yaml", "mine")
    (sweep / "000_seed=0_aaaaaa").symlink_to(lab.root / "precious")
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, "with a link out of it is not resumed" in errors) == (10, True)
    assert (lab.root / "precious/config.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["[" * 10_000, f"started: {'9' * 5_000}", "overrides: 5", "config_dir: [1]", "a: &a [*a]", ""]
)
def test_a_definition_of_another_shape_is_one_line(
    sweep: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "sweep.yaml").write_text(content)
    code, errors = call(capsys, "resume", str(sweep))
    assert (code, errors.count("\n")) == (4, 1), errors[:500]
