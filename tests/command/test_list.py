"""`aiexp list`: by field, one line each; a group; one option; for programs."""

import json
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.config.folders import builtin_dirs


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["list", *words]) == 0
    return capsys.readouterr().out


def test_every_option_has_one_line_below_its_field(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys).splitlines()
    for group, options in builtin_dirs().options().items():
        assert group in lines
        for name in options:
            assert sum(line.startswith(f"    {name} ") for line in lines) >= 1
    assert lines.index("  reinforcement learning") < next(
        i for i, line in enumerate(lines) if line.startswith("    dqn_cartpole ")
    )


def test_a_group_has_data_time_and_result(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "task")
    assert "expected: test/accuracy 0.992" in out
    assert "hardware" not in out.splitlines()


def test_one_option_says_all_that_its_files_say(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "dataset", "mnist")
    assert "Gradient-based learning applied to document recognition" in out
    assert "collection: mnist" in out
    assert "batch_size: 64 # pictures in a training batch" in out  # of the file that it builds on


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sinusoids", "support_x"),
        ("digits", "(B, 64)"),
        ("cartpole", "observations (1, 4) float32"),
        ("image_folder", "not known before it is set up"),
    ],
)
def test_one_data_set_says_what_a_batch_holds(
    capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    assert expected in shown(capsys, "dataset", name)


def test_two_groups_are_two_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"tracker", "hardware"} <= set(shown(capsys, "tracker", "hardware").splitlines())


def test_ones_own_options_stand_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/mine.yaml").write_text("# My network\n_target_: my_lab.Net\n", encoding="utf-8")
    out = shown(capsys, "model")
    assert out.index("  your own\n") < out.index("    mine ")
    assert "[yours: conf/model/mine.yaml]" in " ".join(out.split())
    (found,) = json.loads(shown(capsys, "model", "mine", "--format", "json"))
    assert (found["name"], found["field"], found["yours"]) == ("mine", "your own", True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["taks"], "no group 'taks'. Did you mean 'task'?"),
        (["task", "mnist"], "no option 'mnist' in group 'task'. Did you mean 'mnist_cnn'"),
    ],
)
def test_misspelled(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert cli.main(["list", *words]) == 2
    assert message in capsys.readouterr().err
