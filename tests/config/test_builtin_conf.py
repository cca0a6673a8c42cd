"""Every file of the built-in conf/: composes, points into its own room, writes out every argument."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp.config.compose import Merged, compose
from aiexp.config.composed import Composed
from aiexp.config.described.header import Header, read_header
from aiexp.config.folders import GROUPS, Option, builtin_dirs, conf_dirs
from aiexp.config.group.block_groups import BLOCK_GROUPS
from aiexp.config.target.arguments import GIVEN
from aiexp.config.target.signature import read

OPTIONS = [o for group in builtin_dirs().options().values() for o in group.values()]
SHARED = [o for g in builtin_dirs().files().values() for o in g.values() if o.name.startswith("_")]
MERGED: Merged = {}


def content_of(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def bases_of(option: Option) -> list[str]:
    """The files of its group that a file builds on."""
    entries = content_of(option.path).get("defaults", [])
    return [name for name in entries if isinstance(name, str) and name != "_self_"]


def head_of(option: Option) -> Header:
    return read_header(option, conf_dirs().files()[option.group])


TASK_OF = {
    "numbers and tables": "vector_classification",
    "language models": "char_lm",
    "tagging": "token_tagging",
    "pretraining": "mlm_pretrain",
    "pictures": "mnist_cnn",
    "generating pictures": "dcgan",
    "reinforcement learning": "dqn_cartpole",
    "few-shot and meta-learning": "protonet_fewshot",
}


def composed(option: Option) -> Composed:
    """The option composed with the defaults of everything else, what it leaves open (`???`) filled in."""
    files = [option.path, *(option.path.with_name(f"{name}.yaml") for name in bases_of(option))]
    written = {key: value for path in reversed(files) for key, value in content_of(path).items()}
    blocks = {"train": "{_target_: torch.nn.Identity}"}  # where text is no value
    filled = [
        f"{option.group}.{key}={blocks.get(key, 'x')}" for key, value in written.items() if value == "???"
    ]
    # A task of its field: models take sizes from its data set, and fields do not mix.
    task = TASK_OF.get(head_of(option).field) if option.group in ("model", "dataset") else None
    task = "maml_sine" if option.name == "sinusoids" else task  # the one without images
    partner = [] if task is None else [f"task={task}"]
    return compose([*partner, f"{option.group}={option.name}", *filled], merged=MERGED)


def test_every_file_is_an_option_of_a_known_group_or_what_options_build_on() -> None:
    folder = builtin_dirs().builtin
    files = [p for p in folder.glob("*/*.yaml") if p.parent.name != "hydra"]  # Hydra's own are tests/sweep's
    assert len(files) == len(OPTIONS) + len(SHARED)
    assert len(SHARED) >= 6
    assert {o.group for o in OPTIONS} == {*GROUPS, *BLOCK_GROUPS}


@pytest.mark.parametrize("shared", SHARED, ids=lambda o: f"{o.group}/{o.name}")
def test_a_shared_file_is_built_on_by_several_options(shared: Option) -> None:
    users = [o for o in OPTIONS if o.group == shared.group and shared.name in bases_of(o)]
    assert len(users) >= 2
    assert all(bases_of(o)[0] == shared.name for o in users), "first: what is written later wins"


def repeated(own: dict[str, Any], base: dict[str, Any], key: str = "") -> list[str]:
    """Keys that say again what the file below says."""
    found: list[str] = []
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            found += repeated(value, base[name], f"{key}{name}.")
        elif name in base and base[name] == value:
            found.append(f"{key}{name}")
    return found


@pytest.mark.parametrize("option", [o for o in OPTIONS if bases_of(o)], ids=lambda o: f"{o.group}={o.name}")
def test_an_option_says_only_what_differs_from_what_it_builds_on(option: Option) -> None:
    (base,) = bases_of(option)
    below = content_of(option.path.with_name(f"{base}.yaml"))
    assert repeated(content_of(option.path), below) == []


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the checkout, so that nothing counts as the user's own code."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.group not in BLOCK_GROUPS], ids=lambda o: f"{o.group}={o.name}"
)
def test_option(option: Option) -> None:
    node = composed(option).config[option.group]
    signature = read(node["_target_"])
    assert signature.module.name.split(".")[:2] == ["aiexp", option.group]
    assert signature.parameters is not None
    settable = set(signature.parameters) - GIVEN.get(option.group, frozenset())
    missing = settable - set(node)
    assert not missing, f"{option.path.name} leaves out {missing}"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: f"{o.group}={o.name}")
def test_header(option: Option) -> None:
    purpose = head_of(option).purpose
    assert 10 < len(purpose) <= 120
    assert purpose[0] == purpose[0].upper()
    assert not purpose.lower().startswith(("todo", "fixme", option.name + "."))
    others = [o for o in OPTIONS if o.group == option.group and o is not option]
    assert purpose not in [head_of(o).purpose for o in others], "says what sets it apart"


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.group == "task"], ids=lambda o: o.name)
def test_a_task_says_what_to_expect(option: Option) -> None:
    assert head_of(option).field
    header = head_of(option).facts
    assert {"Data", "Time", "Expected", "Command"} <= set(header)
    program, command, *words = shlex.split(header["Command"])
    assert (program, command) == ("aiexp", "run")
    assert compose(words, merged=MERGED).choices["task"] == option.name
    assert re.search(r"\d+ (seconds?|minutes?|hours?)\b", header["Time"])
    task = composed(option).config.task
    if header["Expected"] == "not measured yet":
        assert "reference" not in task, "a target is no reference"
        return
    reference = task.reference
    assert "not measured" not in reference.source
    assert set(reference) == {"metric", "value", "tolerance", "source"}
    assert re.fullmatch(r"(test|eval|train|env)/\w+", reference.metric)
