"""The reference says all there is: it is made from the source; these are the ends that could come loose."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp import __all__ as offered
from aiexp.command import COMMANDS, module_of
from aiexp.config.folders import Option
from tests.docs.pages import ROOT

from reference import commands, environment, error_pages, groups, metrics, python_api  # isort: skip
from reference.keys import RESERVED, builds_on, keys_of  # isort: skip
from reference.raised import Raised, read_all  # isort: skip

PACKAGE = ROOT / "aiexp"
OPTIONS = [(group, name) for group, files in groups.group_files().items() for name in groups.public(files)]


@cache
def group_pages() -> dict[str, str]:
    return dict(groups.pages())


@cache
def raised() -> list[Raised]:
    return read_all(PACKAGE)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of what a YAML file holds."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
    return found


@pytest.mark.parametrize("group", groups.group_files())
def test_every_key_has_a_row_with_its_default_and_a_meaning(group: str) -> None:
    files = groups.group_files()[group]
    text = group_pages()[groups.page_name(group)]
    for option in groups.public(files).values():
        keys = keys_of(option, files)
        values = yaml.safe_load(option.path.read_text("utf-8"))
        values.pop("defaults", None)
        written = flat(values)
        assert set(written) - set(keys) - {"env_options"} == set(), option.name
        section = text.partition(f"\n## {option.name}\n")[2].partition("\n## ")[0]
        for name, key in keys.items():
            if name.rpartition(".")[2] in RESERVED:
                continue
            bases = builds_on(option, files)
            if not bases or name in written:
                assert f".{name}` |" in section, (option.name, name)
            else:
                assert f"is as in [{bases[0]}](#{bases[0]})" in section
            assert key.text, f"{option.path}: {name} has no comment, and its argument no docstring"
            value = written.get(name)
            if isinstance(value, int | float | str) and "$" not in str(value):
                assert yaml.safe_load(key.default) == value, (option.name, name)


def test_a_key_has_the_type_that_its_error_says() -> None:
    files = groups.group_files()["trainer"]
    keys = keys_of(files["finetune"], files)
    assert keys["steps"].type == "a whole number >= 1 or null"
    assert keys["schedule.shape"].type == "'constant' or 'linear' or 'cosine'"
    assert keys["epochs"].default == "3"  # its own
    assert keys["schedule.warmup"].text.startswith("below 1: share of all steps; else")  # of the file below
    assert keys["schedule.warmup"].note.startswith("share of all steps (RoBERTa")


def test_comments_of_both_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text("_target_: a.B\nsize: 1 # pixels\nname: 'a # b'\n")
    (tmp_path / "mine.yaml").write_text(
        "# Mine\ndefaults: [_base, _self_]\nsize: 2 # small\nnew: [1, 2]   # two\n"
    )
    files = {
        name: Option(group="x", name=name, path=tmp_path / f"{name}.yaml", is_user=True)
        for name in ("_base", "mine")
    }
    keys = keys_of(files["mine"], files)
    assert (keys["size"].default, keys["size"].text) == ("2", "pixels; here: small")
    assert (keys["name"].default, keys["name"].text) == ("'a # b'", "")
    assert (keys["new"].default, keys["new"].text) == ("[1, 2]", "two")


def test_every_flag_of_every_command_is_on_its_page() -> None:
    import importlib

    text = commands.page()
    for name in COMMANDS:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        flags = importlib.import_module(module_of(name)).FLAGS.all
        assert [flag.name for flag in flags if f"| `{flag.name}`" not in section] == []


def test_every_error_is_on_the_page_of_its_kind() -> None:
    pages = dict(error_pages.pages(raised()))
    index = pages["errors/index.md"]
    assert index.count("**Cause.**") == index.count("**Cure.**") == len(error_pages.kinds()) == 10
    assert "no option" in pages["errors/config.md"]
    assert "checkpoint file is damaged (sha256 differs)" in pages["errors/checkpoint.md"]
    assert len(raised()) > 500
    assert not [each for each in raised() if each.kind not in error_pages.kinds()]


def test_errors_are_read_with_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room/a.py").write_text(
        "def f(path, size):\n"
        "    what = f'{path.name} has {len(size)} bytes'\n"
        "    raise DataError(what, where=str(path), fix='fetch ' + 'it')\n"
        "    raise DataError(text)\n"
    )
    (each,) = read_all(tmp_path)
    assert (each.kind, each.what, each.where, each.fix, each.room) == (
        "data", "<name> has <size> bytes", "<path>", "fetch it", "room",
    )  # fmt: skip


def test_environment_variables_are_those_of_the_source(tmp_path: Path) -> None:
    assert "AIEXP_DATA_DIR" in environment.page(PACKAGE)
    (tmp_path / "a.py").write_text(
        "import os\nNAME = 'THEIRS'\nos.environ.get(NAME)\nos.environ['AIEXP_NEW'] = '1'\n"
    )
    assert environment.variables(tmp_path) == {"THEIRS", "AIEXP_NEW"}
    with pytest.raises(ValueError, match="AIEXP_NEW"):
        environment.page(tmp_path)


def test_the_metrics_that_configs_name_are_those_that_tasks_say_they_log() -> None:
    said = {
        name: text for options, doc in metrics.tasks(PACKAGE).values() for name in options for text in [doc]
    }
    files = groups.group_files()["task"]
    quality = metrics.page(PACKAGE).partition("## SampleQuality")[2]
    for name in groups.public(files):
        reference = keys_of(files[name], files).get("reference.metric")
        if reference is None:
            continue  # not measured yet
        metric = reference.default.partition("/")[2]
        logs = said[name].texts["Logs"] + quality
        # mse_1 of the tasks that say mse_s
        assert metric in logs or f"{metric.rpartition('_')[0]}_s" in logs, (name, metric)


def test_the_python_api_has_what_import_aiexp_offers() -> None:
    text = python_api.page(PACKAGE)
    assert [name for name in offered if f"\n### {name}\n" not in text] == []
    task = next(
        n for n in ast.parse((PACKAGE / "task/base.py").read_text()).body if getattr(n, "name", "") == "Task"
    )
    members = [m.name for m in task.body if isinstance(m, ast.FunctionDef) and m.name[0] != "_"]  # pyright: ignore
    assert [name for name in members if f"\n#### {name}\n" not in text] == []


def test_the_python_api_has_every_kind_of_data_set() -> None:
    text = python_api.page(PACKAGE)
    nodes = ast.parse((PACKAGE / "dataset/base.py").read_text("utf-8")).body
    kinds = [node.name for node in nodes if isinstance(node, ast.ClassDef) and node.name.endswith("Data")]
    assert "VectorData" in kinds
    assert [name for name in kinds if f"\n### {name}\n" not in text] == []


def test_every_option_has_a_section() -> None:
    pages = group_pages()
    assert len(OPTIONS) > 80
    assert [pair for pair in OPTIONS if f"\n## {pair[1]}\n" not in pages[groups.page_name(pair[0])]] == []
