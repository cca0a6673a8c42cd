"""Configs that try to run code: refused with exit 10 before anything they name is imported."""

import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.objects.build import build
from aiexp.config.validate import validate
from aiexp.errors import AiexpError, SecurityError
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


TARGETS = [
    "os.system",
    "posix.system",
    "subprocess.run",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "importlib.import_module",
    "runpy.run_path",
    "pickle.loads",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.nn.utils.rnn.torch.load",
    "torch.optim.adamw.AdamW",
    "numpy.load",
    "joblib.load",
    "shutil.copy",
    "shutil.rmtree",
    "pathlib.Path.write_text",
    "pathlib.Path",
    "urllib.request.urlopen",
    "transformers.AutoModel.from_pretrained",
    "aiexp.task.base.torch.load",
    "aiexp.task.base.to_device",
    "aiexp.checkpoint.store.shutil.rmtree",
    "aiexp.config.compose",
    "aiexp.cli.main",
    "my_lab.os.system",
    "my_lab.parts.subprocess.run",
    "my_lab.parts.pathlib.Path",
    "hydra.utils.instantiate",
    "functools.partial",
]
CANARY = "touch canary"


@pytest.mark.parametrize("target", TARGETS)
def test_stored_config(lab: Lab, target: str) -> None:
    """The config of a run directory from someone else, the target at the group and further inside."""
    before = set(sys.modules)
    node = {"_target_": target, "command": CANARY}
    places: list[dict[str, Any]] = [
        {"model": node},
        {"model": {"_target_": "my_lab.parts.Model", "width": {"a": [node]}, "activation": "relu"}},
        {"task": {"_target_": "my_lab.parts.Other", "gamma": {**node, "_partial_": True}}},
        {"anything": {"deep": [[node]]}},
    ]
    for place in places:
        with pytest.raises(AiexpError) as caught:
            validate(place, source="run/config.yaml")
        assert caught.value.exit_code == 10
        refused = [line for line in caught.value.lines() if "error[security]" in line]
        assert target in refused[0]
        assert "run/config.yaml: " in refused[0]
    loaded = {m for m in set(sys.modules) - before if not m.startswith(("omegaconf", "antlr4", "yaml"))}
    assert not loaded & {target.split(".")[0], target.rpartition(".")[0]}
    assert not (lab.root / "canary").exists()


@pytest.mark.parametrize(
    "target", ["os.system", "torch.load", "my_lab.os.system", "my_lab.parts.subprocess.run"]
)
def test_build_checks_again(lab: Lab, target: str) -> None:
    for node in (
        {"_target_": target, "command": CANARY},
        {"_target_": target, "_partial_": True},
        {"_target_": "my_lab.parts.Model", "width": {"_target_": target}, "activation": "relu"},
    ):
        with pytest.raises(SecurityError, match="refused"):
            build(node)
        with pytest.raises(SecurityError, match="refused"):
            build(OmegaConf.create(node))
    assert not (lab.root / "canary").exists()


def test_build_checks_what_was_really_imported(lab: Lab) -> None:
    """The source says one thing and the module does another."""
    lab.write(
        "my_lab/sly.py", "import os\ndef harmless(command):\n    pass\nglobals()['harmless'] = os.system\n"
    )
    with pytest.raises(SecurityError, match="leads to posix"):
        build({"_target_": "my_lab.sly.harmless", "command": CANARY})
    assert not (lab.root / "canary").exists()


TYPED = [
    ["model._target_=os.system"],
    ["+model.bias._target_=os.system"],
    ["++task.optimizer._target_=torch.load"],
    ["+task.extra={_target_: os.system, command: touch canary}"],
    ["+task.layers=[{_target_: os.system, command: touch canary}]"],
    ["model.width=${oc.env:HOME}"],
    ["+task.extra='${oc.env:SECRET,${oc.env:HOME}}'"],
    ["hydra.job_logging.version=2"],
    ["+hydra.job_logging.handlers.x.()=os.system"],
    ["hydra/job_logging=default"],
    ["hydra/hydra_logging=default"],
    ["+hydra.callbacks.x._target_=os.system"],
    ["hydra.searchpath=[file:///tmp]"],
    ["hydra.searchpath=[pkg://os]"],
    ["hydra.launcher._target_=os.system"],
    ["+hydra.job.env_set.LD_PRELOAD=x.so"],
]


@pytest.mark.parametrize("words", TYPED)
def test_command_line(lab: Lab, words: list[str]) -> None:
    with pytest.raises(AiexpError) as caught:
        compose(words)
    assert caught.value.exit_code == 10
    assert f"command line: {words[0]}" in caught.value.lines()[0]
    assert not (lab.root / "canary").exists()


IN_FILES = [
    ("conf/model/mine.yaml", "_target_: os.system\ncommand: touch canary\n", ["model=mine"]),
    ("conf/model/mine.yaml", "_target_: aiexp.dataset.base.Dataset\n", ["model=mine"]),
    ("conf/x/mine.yaml", "# @package _global_\nmodel: {_target_: os.system}\n", ["+x=mine"]),
    (
        "conf/x/mine.yaml",
        "# @package _global_\nhydra: {job_logging: {handlers: {h: {(): os.system}}}}\n",
        ["+x=mine"],
    ),
    (
        "conf/x/mine.yaml",
        "# @package _global_\nhydra: {callbacks: {c: {_target_: os.system}}}\n",
        ["+x=mine"],
    ),
    ("conf/x/mine.yaml", "# @package _global_\nhydra: {launcher: {_target_: os.system}}\n", ["+x=mine"]),
    ("conf/x/mine.yaml", "# @package _global_\nhydra: {job: {env_set: {LD_PRELOAD: x}}}\n", ["+x=mine"]),
    ("conf/x/mine.yaml", "anything: [{_target_: os.system}]\n", ["+x=mine"]),
]


@pytest.mark.parametrize(("name", "text", "words"), IN_FILES)
def test_yaml_file(lab: Lab, name: str, text: str, words: list[str]) -> None:
    lab.write(name, text)
    with pytest.raises(AiexpError) as caught:
        compose(words)
    assert caught.value.exit_code == 10
    assert not (lab.root / "canary").exists()


def test_search_path_of_the_users_primary_file(lab: Lab) -> None:
    path = lab.root / "conf/aiexp.yaml"
    path.write_text(path.read_text().replace("hydra: {", "hydra: {searchpath: [pkg://os], "))
    with pytest.raises(SecurityError, match=r"conf/aiexp\.yaml"):
        compose([])


def test_code_is_the_users_own_only_where_the_user_writes(lab: Lab) -> None:
    for folder in (".venv/lib/site-packages", "outputs/run", ".hidden"):
        lab.write(f"{folder}/foreign/__init__.py", "def call():\n    pass\n")
        sys.path.append(str(lab.root / folder))
        with pytest.raises(SecurityError):
            compose(["model._target_=foreign.call"])
        sys.path.pop()
        (lab.root / folder / "foreign/__init__.py").unlink()


def test_a_link_out_of_the_folder_is_not_the_users_code(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = tmp_path_factory.mktemp("elsewhere") / "foreign.py"
    foreign.write_text("def call():\n    pass\n")
    (lab.root / "foreign.py").symlink_to(foreign)
    with pytest.raises(SecurityError):
        compose(["model._target_=foreign.call"])


def test_trust_is_given_by_the_shell_and_reaches_only_that_package(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("installed")
    (package / "third_party").mkdir()
    (package / "third_party/__init__.py").write_text("import os\nfrom third_party.nets import Net\n")
    (package / "third_party/nets.py").write_text(
        "class Net:\n    def __init__(self, *, width: int): self.width = width\n"
    )
    monkeypatch.syspath_prepend(package)
    words = [
        "task=other",
        "+model._target_=third_party.Net",
        "+model.width=3",
        "model=small",
        "model._target_=third_party.Net",
    ]
    words = ["model=small", "model._target_=third_party.Net", "~model.activation"]
    with pytest.raises(SecurityError, match="--trust third_party"):
        compose(words)
    monkeypatch.setenv("AIEXP_TRUST", "third_party")
    assert build(compose(words).config.model).width == 4
    with pytest.raises(AiexpError, match=r"unknown key .model\.activation."):
        compose(words[:2])
    with pytest.raises(SecurityError):
        compose(["model._target_=third_party.os.system"])


def test_hydras_own_override_is_ignored(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE", "os.system")
    with pytest.raises(SecurityError):
        compose(["model._target_=os.system"])


def test_library_names_are_exact(lab: Lab) -> None:
    assert (
        compose(["task.optimizer._target_=torch.optim.AdamW"]).config.task.optimizer["_target_"]
        == "torch.optim.AdamW"
    )
    for name in ("torch.optim.Optimizer", "torch.optim.adam.AdamW", "torch.nn.Module"):
        with pytest.raises(SecurityError):
            compose([f"task.optimizer._target_={name}"])
    with pytest.raises(SecurityError):
        compose(["trainer._target_=torch.nn.ReLU"])  # a group's own node is no torch class


@pytest.mark.parametrize("folder", ["runs/toy/one", "results", "runs/toy/one/code/deep"])
def test_code_in_a_run_directory_is_refused(lab: Lab, folder: str) -> None:
    """A run directory of someone else's, unpacked below the working directory under any name."""
    run = "/".join(folder.split("/")[:3])
    lab.write(f"{folder}/evil.py", "open('canary', 'w')\nclass Model: ...\n")
    target = folder.replace("/", ".") + ".evil.Model"
    node = {"_target_": target}
    assert validate_outcome({"anything": node}) == 0  # still the user's own code
    lab.write(f"{run}/status.json", "{}")
    lab.write(f"{run}/config.yaml", "")
    assert validate_outcome({"anything": node}) == 10
    with pytest.raises(SecurityError, match="inside a run directory"):
        build(node)
    assert not (lab.root / "canary").exists()


def validate_outcome(config: dict[str, Any]) -> int:
    """Exit code of the errors about targets in a config, or 0."""
    with pytest.raises(AiexpError) as caught:
        validate(config)
    return 10 if any("error[security]" in line for line in caught.value.lines()) else 0
