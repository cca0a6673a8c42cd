"""Every way to mistype a command line or a YAML file, and the line each one gets."""

# ruff: noqa: E501 (tables: one case a line)

from pathlib import Path

import pytest

from aiexp.config import compose
from aiexp.errors import AiexpError, ConfigErrors
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def lines(*overrides: str) -> list[str]:
    """The lines of a command that must fail with exit code 2."""
    with pytest.raises(AiexpError) as caught:
        compose(list(overrides))
    assert caught.value.exit_code == 2, caught.value.lines()
    return caught.value.lines()


TYPED = [
    ("task=toyy", "no option 'toyy' in group 'task'. Did you mean 'toy'? | command line: task=toyy | fix: options are"),
    ("mdoel=small", "unknown key 'mdoel'. Did you mean 'model'?"),
    ("+task=toy", "'task' is there already | command line: +task=toy | fix: type task=toy"),
    ("traner.steps=1", "unknown key 'traner.steps'. Did you mean 'trainer.steps'?"),
    ("trainer.stepps=1", "Did you mean 'trainer.steps'? | command line: trainer.stepps=1 | fix: keys of trainer are steps"),
    ("+trainer.stepps=1", "unknown key 'trainer.stepps'. Did you mean 'steps'? | command line: +trainer.stepps=1"),
    ("++trainer.stepps=1", "unknown key 'trainer.stepps'. Did you mean 'steps'? | command line: ++trainer.stepps=1"),
    ("~trainer.stepps", "Did you mean 'trainer.steps'? | command line: ~trainer.stepps"),
    ("+sede=1", "unknown key 'sede'. Did you mean 'seed'?"),
    ("task.optimizer.lrr=1", "Did you mean 'task.optimizer.lr'?"),
    ("+task.optimizer.lrr=1", "unknown key 'task.optimizer.lrr'. Did you mean 'lr'?"),
    ("+task.reference.valu=1", "unknown key 'task.reference.valu'. Did you mean 'value'?"),
    ("task.extra=1", "'task.extra' is an argument that conf/ leaves at its default | command line: task.extra=1 | fix: type +task.extra=1"),
    ("task.optimizer.momentum=0.9", "fix: type +task.optimizer.momentum=0.9"),
    ("+seed=1", "'seed' is there already | command line: +seed=1 | fix: type seed=1"),
    ("+task.model=1", "'task.model' is passed by aiexp itself"),
    ("~task.dropout", "my_lab.parts.Task needs the argument dropout | conf/task/toy.yaml: task | fix: add +task.dropout=..."),
    ("~tracker", "group 'tracker' has no option"),
    ("trainer=null", "'trainer=null' is not an option"),
    ("trainer.steps=abc", "'trainer.steps' is 'abc' | command line: trainer.steps=abc | fix: give a whole number or null"),
    ("trainer.steps=1.5", "fix: give a whole number or null"),
    ("trainer.steps=true", "fix: give a whole number or null"),
    ("trainer.clip=high", "fix: give a number or null"),
    ("model.width=null", "'model.width' is null | command line: model.width=null | fix: give a whole number"),
    ("model.activation=rleu", "fix: give 'relu' or 'gelu'. Did you mean 'relu'?"),
    ("+model.bias=1", "fix: give true or false"),
    ("+model.shape=[1,2,3]", "fix: give a list of 2 values or null"),
    ("+model.shape=[1,a]", "fix: give a list with a whole number or null"),
    ("task.names=a", "fix: give a list"),
    ("task.names=[1]", "fix: give a list of text"),
    ("+trainer.schedule=5", "fix: give a block with the _target_ of a Schedule or null"),
    ("seed=-1", "'seed' is -1, not a whole number >= 0"),
    ("seed=abc", "'seed' is 'abc', not a whole number >= 0"),
    ("outputs=''", "'outputs' is '', not the path of a folder"),
    ("model=unnamed", "'model.width' has no value yet (???) | conf/model/unnamed.yaml: model.width | fix: add model.width=..."),
    ("model.width=${dataset.bach_size}", "refers to a key that does not exist. Did you mean 'dataset.batch_size'?"),
    ("model.width=${no.such.key}", "refers to a key that does not exist"),
    ("model.width=${nope:1}", "cannot be resolved"),
    ("seed", "'seed' is not key=value"),
    ("seed=[1", "'seed=[1' is not key=value"),
    ("model=small,large", "'model' has several values, for one run | command line: model=small,large | fix: add -m"),
    ("seed=range(0,3)", "fix: add -m to run each of them"),
    ("hydra.launcher=joblib", "'hydra.launcher' is a group, chosen with a slash | command line: hydra.launcher=joblib | fix: type hydra/launcher=joblib"),
    ("hydra/launcher=nope", "no option 'nope' in group 'hydra/launcher'"),
    ("hydra.run.dir=/tmp/x", "'hydra.run.dir' is set by aiexp itself | command line: hydra.run.dir=/tmp/x | fix: use outputs=FOLDER"),
    ("hydra.job.chdir=true", "'hydra.job.chdir' is set by aiexp itself"),
    ("model._target_=my_lab.parts.Modle", "'my_lab.parts.Modle' does not exist: no 'Modle' in"),
    ("model._target_=my_lba.parts.Model", "no package or module 'my_lba'"),
    ("model._target_=5", "'_target_' is the dotted name of a class, not 5"),
    ("+model._args_=[1]", "'model._args_' is not supported"),
    ("+model._partial_=true", "only inside a group"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "expected"), TYPED)
def test_command_line(lab: Lab, override: str, expected: str) -> None:
    (line,) = lines(override)
    assert expected in line
    assert "Could not override" not in line
    assert "\n" not in line


def test_the_nearest_definition_is_named(lab: Lab) -> None:
    (line,) = lines("model._target_=my_lab.parts.Modle")
    assert "Did you mean 'Model'?" in line


IN_FILES = [
    ("model", "width: 1\nactivation: relu\nwidht: 2", "unknown key 'model.widht'. Did you mean 'width'? | conf/model/mine.yaml: model.widht"),
    ("model", "width: a\nactivation: relu", "'model.width' is 'a' | conf/model/mine.yaml: model.width | fix: give a whole number"),
    ("model", "activation: relu", "needs the argument width | conf/model/mine.yaml: model | fix: add +model.width=..."),
    ("model", "width: ${dataset.size}\nactivation: relu", "refers to a key that does not exist. Did you mean 'dataset.seed'? | conf/model/mine.yaml: model.width"),
    ("model", "width: 1\nwidth: 2\nactivation: relu", "found duplicate key width | conf/model/mine.yaml: line 3"),
    ("model", "width: [1\nactivation: relu", "not valid YAML"),
    ("model", "width: !!python/object/apply:os.system [touch canary]\nactivation: relu", "not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("group", "text", "expected"), IN_FILES)
def test_yaml_file(lab: Lab, group: str, text: str, expected: str) -> None:
    lab.write(f"conf/{group}/mine.yaml", f"_target_: my_lab.parts.Model\n{text}\n")
    (line,) = lines(f"{group}=mine")
    assert expected in line
    assert "conf/model/mine.yaml" in line
    assert not (lab.root / "canary").exists()


def test_the_file_that_wrote_the_key_is_named(lab: Lab) -> None:
    lab.write("conf/model/small.yaml", "_target_: my_lab.parts.Model\nwidth: 4\nactivation: tanh\n")
    (line,) = lines("model=large")
    assert "conf/model/small.yaml: model.activation" in line


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        (
            "[override /model: smal]",
            "no option 'smal' in group 'model'. Did you mean 'small'? | conf/task/mine.yaml",
        ),
        ("[basis]", "no option 'basis' in group 'task'. | conf/task/mine.yaml: defaults"),
        (
            "[override /modle: small]",
            "'modle', which is no group. Did you mean 'model'? | conf/task/mine.yaml: defaults",
        ),
    ],
)
def test_defaults_list(lab: Lab, defaults: str, expected: str) -> None:
    lab.write("conf/task/mine.yaml", f"defaults: {defaults}\n_target_: my_lab.parts.Other\ngamma: 1\n")
    (line,) = lines("task=mine")
    assert expected in line


def test_everything_at_once(lab: Lab) -> None:
    lab.write("conf/model/mine.yaml", "_target_: my_lab.parts.Model\nwidht: 4\nactivation: relu\n")
    found = lines(
        "model=mine", "trainer.steps=x", "tracer=y", "seed", "+task.optimizer.lrr=1", "dataset=numbrs"
    )
    assert len(found) == 7
    for part in (
        "'tracer'",
        "'seed' is not",
        "'numbrs'",
        "model.widht",
        "argument width",
        "trainer.steps",
        "lrr",
    ):
        assert sum(part in line for line in found) == 1, part


def test_one_wrong_value_is_said_once(lab: Lab) -> None:
    assert len(lines("seed=abc")) == 1  # dataset.seed repeats it


def test_an_unknown_task_does_not_drag_its_keys_along(lab: Lab) -> None:
    assert len(lines("task=dqn", "task.gamma=0.9", "trainer.steps=5")) == 1


def test_a_refusal_outranks_a_typo(lab: Lab) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compose(["trainer.stepps=1", "model._target_=os.system"])
    assert caught.value.exit_code == 10
    assert "os.system" in caught.value.lines()[0]
