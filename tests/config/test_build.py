"""Objects out of config nodes."""

import copy
import functools
import inspect
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
import torch
from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.objects.build import build
from aiexp.config.objects.partners import check_partners, members
from aiexp.errors import ConfigError, DataError
from aiexp.task.adversarial.cyclegan import CycleGAN
from aiexp.task.adversarial.gan import GAN
from aiexp.task.classification.image import ImageClassification
from aiexp.task.classification.text import TextClassification
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def test_a_node_becomes_its_class_with_nested_nodes_first(lab: Lab) -> None:
    composed = compose(
        [
            "seed=3",
            "+task.layers=[{_target_: my_lab.parts.Model, width: 2, activation: gelu}]",
            "+task.extra=9",
        ]
    )
    config = composed.config
    model, dataset = build(config.model), build(config.dataset)
    task = build(config.task, model=model, dataset=dataset)
    assert (type(task).__name__, task.model, task.dataset, task.extra) == ("Task", model, dataset, 9)
    assert task.layers[0].width == 2
    assert dataset.seed == 3
    assert task.names == ["a", "b"]
    assert type(task.names) is list  # plain values, nothing of OmegaConf


def test_partial_waits_for_the_rest(lab: Lab) -> None:
    factory = build(compose([]).config.task.optimizer)
    assert isinstance(factory, functools.partial)
    optimizer = factory([torch.nn.Parameter(torch.zeros(2))])
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["lr"] == 0.1


def test_plain_dicts_do_as_well_and_are_not_changed(lab: Lab) -> None:
    node = {"_target_": "my_lab.parts.Other", "gamma": 0.5, "reference": {"metric": "eval/loss"}}
    before = dict(node)
    assert build(node).gamma == 0.5
    assert node == before


def test_functions_and_class_methods(lab: Lab) -> None:
    assert build({"_target_": "my_lab.parts.make_model", "width": 5}).width == 5
    assert type(build({"_target_": "my_lab.parts.Tracker.quiet"})).__name__ == "Tracker"
    with pytest.raises(ConfigError, match="no class method"):
        build({"_target_": "my_lab.parts.Tracker.remove_everything"})


@pytest.mark.parametrize(
    ("node", "given", "expected"),
    [
        ({"gama": 1}, {}, r"unknown key 'task\.gama'.* Did you mean 'gamma'"),
        ({}, {}, "Other needs the argument gamma"),
        ({"gamma": 1}, {"gamma": 2}, r"'task\.gamma' is passed by aiexp itself"),
        ({"gamma": 1}, {"model": 2}, "takes no 'model'"),
        ({"gamma": 1, "_args_": [1]}, {}, "'_args_' is not supported"),
    ],
)
def test_wrong_arguments_name_the_key(lab: Lab, node: dict, given: dict, expected: str) -> None:
    config = OmegaConf.create({"task": {"_target_": "my_lab.parts.Other", **node}})
    with pytest.raises(ConfigError, match=expected):
        build(config.task, **given)


def test_a_task_that_takes_no_model_is_told_how(lab: Lab) -> None:
    with pytest.raises(ConfigError) as error:
        build({"_target_": "my_lab.parts.Other", "gamma": 1}, model=1, dataset=2)
    assert "Other takes no 'model'" in error.value.lines()[0]
    assert "def __init__(self, *, model, dataset, ...)" in error.value.lines()[0]


def test_errors_of_the_constructor_pass_unchanged(lab: Lab) -> None:
    lab.write(
        "my_lab/broken.py",
        "from aiexp.errors import DataError\n"
        "class NoData:\n    def __init__(self):\n        raise DataError('empty')\n"
        "class Buggy:\n    def __init__(self):\n        len(5)\n",
    )
    with pytest.raises(DataError, match="empty"):
        build({"_target_": "my_lab.broken.NoData"})
    with pytest.raises(TypeError, match="has no len"):
        build({"_target_": "my_lab.broken.Buggy"})


def test_an_empty_group_is_none(lab: Lab) -> None:
    assert build(None) is None
    assert build(compose(["~model"]).config.model) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"lr": -1}, "AdamW refuses: Invalid learning rate"), ({"betas": [0.9, 2.0]}, "AdamW refuses")],
)
def test_what_an_optimizer_refuses_names_its_key(lab: Lab, values: dict, expected: str) -> None:
    node = {"_target_": "torch.optim.AdamW", "_partial_": True, **values}
    task = {"_target_": "my_lab.parts.Task", "optimizer": node, "dropout": 0.0, "names": []}
    plain = build(task, model=None, dataset=None).optimizer
    whole = build(OmegaConf.create({"task": task}).task, model=None, dataset=None).optimizer
    for factory in (plain, whole, pickle.loads(pickle.dumps(plain)), copy.deepcopy(whole)):
        assert isinstance(factory, functools.partial)
        with pytest.raises(ConfigError, match=expected) as error:
            factory([torch.nn.Parameter(torch.zeros(2))])
        assert (error.value.exit_code, error.value.where) == (2, "task.optimizer")


def test_what_a_layer_refuses_names_its_key(lab: Lab) -> None:
    config = OmegaConf.create({"model": {"_target_": "torch.nn.Dropout", "p": 2.0}})
    with pytest.raises(ConfigError, match="Dropout refuses: dropout probability") as error:
        build(config.model)
    assert error.value.where == "model"


class HasWidth(Protocol):
    width: int

    def grow(self) -> None: ...


class Narrow(HasWidth, Protocol):
    depth: int


def takes_partners(*, model: Narrow, dataset: Any, size: int) -> tuple[Any, ...]:
    return model, dataset, size


def test_what_the_runner_passes_must_have_the_members_of_its_protocol() -> None:
    fitting = SimpleNamespace(width=1, depth=2, grow=print)
    check_partners(takes_partners, {"model": fitting, "dataset": None})
    for model, words in (
        (SimpleNamespace(width=1), "cannot use this model: SimpleNamespace has no grow, depth"),
        (None, "takes_partners needs a model"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            check_partners(takes_partners, {"model": model, "dataset": None})
        assert caught.value.where == "model"


def test_no_task_takes_a_model_or_a_data_set_of_another_kind() -> None:
    """Every pairing across kinds is refused in one line, whatever the classes are called."""
    kinds = {
        TextClassification: ("Encoder", "TextData"),
        ImageClassification: ("Module", "ImageData"),  # any network: it is tried out on images
        GAN: ("AdversarialModel", "ImageData"),
        CycleGAN: ("Networks", "UnpairedData"),
    }
    hints = {task: inspect.signature(task).parameters for task in kinds}
    for task, names in kinds.items():
        assert tuple(hints[task][g].annotation.__name__ for g in ("model", "dataset")) == names
    protocols: dict[str, Any] = {g: {t: hints[t][g].annotation for t in kinds} for g in ("model", "dataset")}
    for group, by_task in protocols.items():
        for task, protocol in by_task.items():
            if protocol is torch.nn.Module:
                continue
            for other, foreign in by_task.items():
                if foreign is not protocol:
                    stranger = SimpleNamespace(**dict.fromkeys(members(foreign)))
                    with pytest.raises(ConfigError, match=f"{task.__name__} cannot use this {group}"):
                        check_partners(task, {group: stranger})
                else:
                    check_partners(other, {group: SimpleNamespace(**dict.fromkeys(members(foreign)))})
