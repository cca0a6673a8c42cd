"""Files whose names begin with _: other files build on them, nobody can choose them."""

from pathlib import Path

import pytest

from aiexp.cli import main
from aiexp.command.completion import candidates
from aiexp.config.axes import check_sweep
from aiexp.config.compose import compose
from aiexp.config.folders import conf_dirs
from aiexp.errors import AiexpError, ConfigError
from tests.lab import Lab, make_lab

SHARED = "# Shared\n_target_: my_lab.parts.Model\nwidth: ???\nactivation: relu\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = make_lab(tmp_path, monkeypatch)
    lab.write(
        "conf/model/_shared.yaml", "# Shared\n_target_: my_lab.parts.Model\nwidth: ???\nactivation: relu\n"
    )
    lab.write("conf/model/wide.yaml", "# Wide\ndefaults: [_shared, _self_]\nwidth: 99\n")
    return lab


def test_an_option_has_what_it_builds_on(lab: Lab) -> None:
    model = compose(["model=wide"]).config.model
    assert dict(model) == {"_target_": "my_lab.parts.Model", "width": 99, "activation": "relu"}


def test_nothing_lists_them(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert "wide" in conf_dirs().options()["model"]
    assert main(["list", "model"]) == 0
    listed = capsys.readouterr().out
    assert "wide" in listed
    assert "_shared" not in listed
    offered = candidates("aiexp run model=")
    assert "model=wide" in offered
    assert not any(word.startswith("model=_") for word in offered)


@pytest.mark.parametrize("typed", ["_shared", "_share", "nonsense"])
def test_choosing_one_is_an_error_that_does_not_name_them(lab: Lab, typed: str) -> None:
    with pytest.raises(AiexpError) as caught:
        compose([f"model={typed}"])
    said = str(caught.value)
    assert f"no option '{typed}'" in said
    assert {"unnamed", "wide"} <= set(said.split())
    assert "_shared" not in said.partition("fix:")[2]


def test_a_glob_of_a_sweep_leaves_them_out(lab: Lab) -> None:
    axes, _ = check_sweep(["model=glob(*e)"])
    (names,) = axes.groups
    assert "model=wide" in names
    assert not any("_shared" in name for name in names)


def test_a_wrong_value_is_found_in_the_file_that_wrote_it(lab: Lab) -> None:
    lab.write(
        "conf/model/_shared.yaml", "# Shared\n_target_: my_lab.parts.Model\nwidth: ???\nactivation: swish\n"
    )
    with pytest.raises(ConfigError, match=r"conf/model/_shared.yaml: model.activation"):
        compose(["model=wide"])
