"""Hydra imports plug-ins before it reads a config: those that were installed, and no others."""

from pathlib import Path

import pytest

from aiexp.config.compose import compose
from aiexp.config.folders import conf_dirs
from aiexp.config.loader import chooses, find_plugins
from aiexp.errors import SecurityError
from tests.lab import Lab, make_lab

PLUGIN = "open('canary', 'w').close()\nclass L: ...\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


@pytest.mark.parametrize("is_installed", [False, True])
def test_plugins_come_from_installed_distributions(lab: Lab, is_installed: bool) -> None:
    """From the folders that pip installs into; the working directory is not one, wherever sys.path leads."""
    lab.write("hydra_plugins/evil/__init__.py", PLUGIN)
    program = "import sys, site\nsys.path.insert(0, '')\n"
    if is_installed:
        program += "import os\nsite.getsitepackages = lambda: [os.getcwd()]\n"
    ended = lab.aiexp("run", "--cfg", "job", program=program)
    assert ended.returncode == 0, ended.stderr
    assert (lab.root / "canary").exists() == is_installed


@pytest.mark.parametrize("name", ["hydra_plugins.evil.L", "hydra._internal.core_plugins.none.L"])
@pytest.mark.parametrize("kind", ["launcher", "sweeper"])
def test_a_config_that_names_another_plugin_is_refused(lab: Lab, kind: str, name: str) -> None:
    lab.write("hydra_plugins/evil/__init__.py", PLUGIN)
    lab.write(f"conf/hydra/{kind}/evil.yaml", f"_target_: {name}\n")
    with pytest.raises(SecurityError, match=f"it is no {kind} of an installed Hydra plug-in"):
        compose([f"hydra/{kind}=evil"])
    assert not (lab.root / "canary").exists()


def test_the_plugins_that_are_installed_and_aiexps_own_are_taken(lab: Lab) -> None:
    for word in ("launcher=basic", "launcher=local", "sweeper=basic", "sweeper=optuna"):
        compose([f"hydra/{word}"])
    find_plugins()  # again changes nothing
    compose([])


PRIMARY = "conf/aiexp.yaml"


def test_the_primary_file_is_parsed_not_searched(lab: Lab) -> None:
    """A word in a comment, or in a value, is no setting; one that YAML writes in another way is."""
    text = (lab.root / PRIMARY).read_text()
    lab.write(PRIMARY, f"# searchpath hydra/launcher hydra/sweeper\n{text}\nnote: searchpath\n")
    compose(["~note"])
    assert not chooses(conf_dirs(), "hydra/launcher")
    assert not chooses(conf_dirs(), "hydra/sweeper")
    lab.write(PRIMARY, text.replace("hydra: {", r'hydra: {"search\x70ath": [pkg://os], '))
    with pytest.raises(SecurityError, match=r"searchpath' is refused"):
        compose([])
    chosen = "{override hydra/job_logging: none}, {override hydra/launcher: basic}"
    lab.write(PRIMARY, text.replace("{override hydra/job_logging: none}", chosen))
    assert chooses(conf_dirs(), "hydra/launcher")
