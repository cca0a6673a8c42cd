"""JSON schemas of the YAML files say what the check of a config says."""

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from aiexp.config.folders import builtin_dirs, conf_dirs
from aiexp.config.schema.annotation import schema_of
from aiexp.config.schema.group import DRAFT, arguments_of, group_schema
from aiexp.config.schema.written import write_schemas
from aiexp.config.target.find import Module
from aiexp.config.target.value_type import mismatch
from tests.lab import Lab, make_lab

FILES = [option for options in builtin_dirs().files().values() for option in options.values()]
VALIDATORS: dict[str, Any] = {}


def problems(group: str, content: Any) -> list[str]:
    if group not in VALIDATORS:
        VALIDATORS[group] = jsonschema_rs.validator_for(group_schema(group, builtin_dirs()))
    return [error.message for error in VALIDATORS[group].iter_errors(content)]


@pytest.mark.parametrize("option", FILES, ids=lambda o: f"{o.group}/{o.name}")
def test_every_shipped_file_keeps_its_schema(option: Any) -> None:
    content = yaml.safe_load(option.path.read_text("utf-8"))
    assert problems(option.group, content) == []
    if option.name.startswith("_") and "_target_" not in content:
        return  # of several classes, so that nobody can tell
    own = [key for key in content if key not in ("defaults", "_target_")]
    for key in own:
        misspelt = {f"{name}x" if name == key else name: value for name, value in content.items()}
        assert problems(option.group, misspelt), f"{key}x is not seen"


MISTAKES = [
    ("task", "defaults: [_image_classification, {override /model: mnist_cn}]"),
    ("task", "defaults: [_image_clasification]"),
    ("task", "defaults: [_image_classification]\nlabel_smoothing: 1.0"),
    ("task", "defaults: [_image_classification]\nlabel_smoothing: much"),
    ("task", "defaults: [_image_classification]\nnormalization: imagnet"),
    ("task", "defaults: [_image_classification]\naugmentation: {flipp: true}"),
    ("task", "defaults: [_image_classification]\nreference: {metrics: test/accuracy}"),
    ("task", "_target_: aiexp.task.few_shot.protonet.ProtoNet"),
    (
        "task",
        "_target_: aiexp.task.few_shot.protonet.ProtoNet\noptimizer: {_target_: torch.optim.Adam, lrr: 1.0}",
    ),
    ("task", "_target_: aiexp.task.few_shot.protonet.ProtoNet\noptimizer: {}\nmodel: conv4"),
    ("trainer", "defaults: [default]\nschedule: {shape: square}"),
    ("trainer", "defaults: [default]\nsteps: -3"),
    ("trainer", "defaults: [default]\nevaluate_every: epok"),
    ("trainer", "defaults: [default]\n_partial_: true"),
    ("model", "defaults: [mlp]\nhidden_sizes: []"),
    ("model", "defaults: [mlp]\nhidden_sizes: [0]"),
    ("dataset", "defaults: [_rows]\n_target_: aiexp.dataset.array.packaged.packaged\ncollection: digit"),
    ("hardware", "defaults: [auto]\ndevice: gpus"),
    ("tracker", "defaults: [wandb]\nproject: a/b"),
    ("tracker", "defaults: [wandb]\nproject: 'a\\b'"),
    ("tracker", f"defaults: [wandb]\nproject: {'x' * 129}"),
    ("tracker", f"defaults: [wandb]\ntags: [{'x' * 65}]"),
]


@pytest.mark.parametrize(("group", "text"), MISTAKES)
def test_a_typical_mistake_is_seen(group: str, text: str) -> None:
    assert problems(group, yaml.safe_load(text))


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("task", "defaults: [_image_classification]\nlabel_smoothing: ${seed}\noptimizer: ???"),
        ("task", "defaults: [mnist_cnn, {override /model: null}]\noptimizer: {lr: 0.1}"),
        ("task", "_target_: my_lab.tasks.Mine\nanything: goes"),
        ("dataset", "defaults: [_rows, _self_]\n_target_: my_lab.data.Mine\nfolder: x"),
    ],
)
def test_what_comes_later_is_left_open(group: str, text: str) -> None:
    assert problems(group, yaml.safe_load(text)) == []


ANNOTATIONS = """
Annotated[float, Range("[0, 1)")] ; Annotated[int, Range(">= 1")] | None ; PositiveInt | Literal["epoch"]
list[Annotated[float, Range("(0, 1]")]] ; tuple[float, PositiveInt] ; tuple[int, ...] ; dict[str, float]
Optional[str] ; Literal["a", 3, None] ; "int | str" ; Path ; Any
Annotated[str, Begins("ep")] | None ; Unknown ; PositiveInts ; Mapping[str, list[int]] ; bool
"""
VALUES: list[Any] = [
    None, True, 0, 1, -3, 0.5, 1.5, "a", "epoch", "", [], [1], [0.5, 2], [0.5, 0], ["a"], {}, {"k": 1.5},
    {"k": [1]}, {"k": "a"}, [True],
]  # fmt: skip


@pytest.mark.parametrize(
    "written", [part.strip() for part in ANNOTATIONS.replace("\n", ";").split(";") if part.strip()]
)
def test_a_schema_allows_what_the_check_allows(written: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from aiexp.ranges import Begins, Range, PositiveInt, PositiveInts\n")
    node, module = ast.parse(written, mode="eval").body, Module(name="mine", path=path)
    schema = schema_of(node, module, lambda _: {})
    anything = {"reference": False, "any": {}, "block": {"type": "object"}}
    validator = jsonschema_rs.validator_for({"$schema": DRAFT, "definitions": anything, **schema})
    for value in VALUES:
        assert validator.is_valid(value) == (mismatch(value, node, module) is None), value


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def test_own_code_is_read_and_not_imported(lab: Lab) -> None:
    lab.write("my_lab/__init__.py", "raise RuntimeError('imported')\n")
    validator = jsonschema_rs.validator_for(group_schema("model", conf_dirs()))
    small = yaml.safe_load((lab.root / "conf/model/small.yaml").read_text())
    assert validator.is_valid(small)
    for key, value in (("width", "wide"), ("activation", "tanh"), ("shape", [1])):
        assert not validator.is_valid(small | {key: value})
    assert validator.is_valid({"defaults": ["small"], "width": 3})
    assert not validator.is_valid({"defaults": ["small"], "widht": 3})


def leaves(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from leaves(part)


def test_an_editor_can_say_what_an_argument_is(tmp_path: Path) -> None:
    (path,) = [path for path in write_schemas(None, tmp_path) if path.name == "dataset.json"]
    definitions = yaml.safe_load(path.read_text())["definitions"]
    pictures = definitions["file-aiexp.dataset.image.folder.image_folder"]["properties"]
    assert pictures["train_folder"]["description"].startswith("Has a sub-folder for each class")
    assert pictures["batch_size"]["description"] == "Examples in a training batch."  # of a TypedDict
    assert sum("description" in leaf for leaf in leaves(copy.deepcopy(definitions))) > 100


def test_an_argument_says_itself_what_it_is() -> None:
    """An editor shows one text for a key: it cannot follow "See `Columns`"."""

    def texts(node: Any) -> Iterator[str]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict) and isinstance(node.get("description"), str):
            yield node["description"]
        for each in inner:
            yield from texts(each)

    said = [text for group in builtin_dirs().files() for text in texts(group_schema(group, builtin_dirs()))]
    assert "Name of the array to learn from, (N, ...) numbers; of a table nothing." in said
    assert [text for text in said if text.startswith("See `")] == []


def test_arguments_of_a_docstring() -> None:
    text = "Does it.\n\nArgs:\n    a: First,\n        on two lines.\n    b: Second: with a colon.\n\n"
    text += "Raises:\n    X: no."
    assert arguments_of(text) == {"a": "First, on two lines.", "b": "Second: with a colon."}
