"""The comments of the YAML files behind the lines of a config."""

from pathlib import Path

from aiexp.config.described.beside import comments_for, with_comments
from aiexp.config.folders import ConfDirs, conf_dirs


def test_comments_of_an_option_come_over_those_of_what_it_builds_on(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "aiexp.yaml").write_text("seed: 0  # of everything\nname: '# no comment'\n")
    (tmp_path / "task/_base.yaml").write_text("lr: 1  # of the base\nsteps: 5   # how many\n")
    (tmp_path / "task/mine.yaml").write_text(
        "defaults:\n  - _base\n  - override /model: x  # not a key\n  - _self_\n"
        'lr: 2  # of mine\ninner:\n  deep: "a # b"  # said of deep\n  list: [1]\n'
    )
    dirs = ConfDirs(user=None, builtin=tmp_path)
    found = comments_for({"task": "mine", "model": "gone"}, dirs)
    assert found == {
        "seed": "of everything",
        "task.lr": "of mine",
        "task.steps": "how many",
        "task.inner.deep": "said of deep",
    }
    text = "seed: 1\ntask:\n  lr: 2\n  inner:\n    deep: a\n    list:\n    - 1\nlr: 3\n"
    lines = with_comments(text, found).splitlines()
    assert lines[:3] == ["seed: 1      # of everything", "task:", "  lr: 2      # of mine"]
    assert [line.partition("  # ")[2] for line in lines] == [
        "of everything", "", "of mine", "", "said of deep", "", "", "",
    ]  # fmt: skip


def test_the_shipped_options_have_comments() -> None:
    found = comments_for({"task": "mnist_cnn", "trainer": "cosine"}, conf_dirs())
    assert found["task.optimizer.lr"] == "falls to 0 over the run"
    assert any(key.startswith("trainer.") for key in found)
