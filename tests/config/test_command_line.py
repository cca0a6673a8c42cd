"""Every way to mistype one word of a command line, and the line it gets."""

# ruff: noqa: E501 (a table: one case a line)

from collections.abc import Iterator

import pytest

from aiexp.config.compose import Merged, compose
from aiexp.errors import AiexpError
from tests.lab import Lab, make_lab

MERGED: Merged = {}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A folder that no test changes, so that its options need merging once only."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield make_lab(tmp_path_factory.mktemp("lab"), monkeypatch)


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
    ("seed", "'seed' is not KEY=VALUE. | command line: seed | fix: type seed=VALUE"),
    ("model", "'model' is a group: which of its options? | command line: model | fix: type model=OPTION; options are "),
    ("large", "'large' is not KEY=VALUE. | command line: large | fix: type model=large"),
    ("lrge", "'lrge' is not KEY=VALUE. Did you mean 'large'? | command line: lrge | fix: type KEY=VALUE"),
    ("seed==1", "'seed==1' has more than one '=' | command line: seed==1 | fix: type seed=1"),
    ("outputs=a=b", "the value of 'outputs' cannot be read as it is | command line: outputs=a=b | fix: type 'outputs=\"a=b\"'"),
    ("seed=[1", "'seed=[1' is not KEY=VALUE | command line: seed=[1 | fix: quote it"),
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
    with pytest.raises(AiexpError) as caught:
        compose([override], merged=MERGED)
    (line,) = caught.value.lines()
    assert caught.value.exit_code == 2
    assert expected in line
    assert "Could not override" not in line
    assert "\n" not in line
