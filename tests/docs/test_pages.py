"""What the pages say to type is accepted by `aiexp`, and what they name exists."""

import importlib
import re
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
import yaml

from aiexp import __all__ as offered
from aiexp import cli
from aiexp.command import COMMANDS, module_of
from aiexp.config.compose import compose
from aiexp.config.folders import builtin_dirs
from aiexp.errors import AiexpError, HardwareError
from tests.docs.pages import DOCS, EXAMPLES, ROOT, Command, commands, page_files, shown_files

from reference import groups  # isort: skip
from reference.assemble import written  # isort: skip
from reference.keys import keys_of  # isort: skip

GUIDES = [page for page in page_files() if not page.is_relative_to(EXAMPLES)]
TYPED = [command for page in GUIDES for command in commands(page)]
# Commands that no test can try, by page: the number changes only with the page.
NOT_RUN = {"start.md": 2, "guide/wandb.md": 7, "guide/use.md": 1, "guide/clusters.md": 2}
IMMEDIATE = ("list", "help", "completion")
ON_RUNS = (
    "resume",
    "branch",
    "evaluate",
    "reproduce",
    "predict",
    "explain",
    "export",
    "serve",
    "compare",
    "runs",
    "board",
    "show",
)
STATES = "state"
ROOTS = r"task|model|dataset|trainer|hardware|tracker|hydra\.launcher|hydra\.sweeper"


@cache
def keys() -> set[str]:
    """Every key of every option, and every group."""
    files = groups.group_files()
    found = {"seed", "outputs", "start_from", "start_from.model", STATES}
    for group, options in files.items():
        root = groups.root_of(group)
        found |= {group, root}
        for option in groups.public(options).values():
            found |= {f"{root}.{name}" for name in keys_of(option, options)}
    return found


def check_words(words: list[str]) -> None:
    """Every KEY=VALUE of a command on runs names a key, and an option where the key is a group."""
    options = builtin_dirs().options()
    for word in words:
        key, equals, value = word.partition("=")
        key = key.rstrip("!<>")
        if equals:
            assert key in keys(), f"no key {key}"
            assert key not in options or all(v in options[key] or "*" in v for v in value.split(",")), word


def accept(command: Command) -> None:
    """Fails unless `aiexp` would take a command: composed and checked, nothing trained."""
    name, rest = command.words[1], command.words[2:]
    assert name in COMMANDS or name == "help", f"no command {name}"
    if name in IMMEDIATE:
        assert cli.main(command.words[1:]) == 0
        return
    words, flags = importlib.import_module(module_of(name)).FLAGS.parse(rest)
    if name in ("run", "check") and "multirun" in flags:
        from aiexp.sweep.hydra_sweep import HydraSweep
        from aiexp.sweep.sweep import prepare_sweep

        try:
            HydraSweep(*prepare_sweep(words, None, resume=False))
        except HardwareError as error:
            if "srun" not in error.what:  # all is checked before a cluster is looked for
                raise
    elif name in ("run", "check"):
        compose(words)
    elif name == "show" and any("=" in word for word in words):
        compose([word for word in words if "=" in word])
    elif name in ON_RUNS:
        check_words(words)
        check_words([f"{flags[flag]}=" for flag in ("by",) if flags.get(flag, "class") != "class"])


@pytest.mark.parametrize("command", TYPED, ids=lambda c: f"{c.page.stem}-{c.line}-{'-'.join(c.words[1:3])}")
def test_a_command_of_a_page_is_accepted(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.not_run:
        assert command.words[0] in ("aiexp", "pip", "wandb", "torchrun", "curl")
        return
    assert command.words[0] == "aiexp", "what is no command of aiexp is marked: <!-- not run: why -->"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if command.fails:
        with pytest.raises(AiexpError) as caught:
            accept(command)
        shown = command.page.read_text("utf-8")
        assert caught.value.problems()[0].what.partition(". ")[0] in shown
        return
    accept(command)


def test_what_is_not_run_is_counted() -> None:
    counted = {
        page.relative_to(DOCS).as_posix(): sum(bool(c.not_run) for c in commands(page)) for page in GUIDES
    }
    assert {name: number for name, number in counted.items() if number} == NOT_RUN
    assert len(TYPED) > 80


def test_a_wrong_command_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = [
        "run task=mnist",
        "run -m seed=0,1 trainer.epoch=2",
        "check --resum",
        "resume outputs/latest trainer.epoch=3",
    ]
    wrong += ["runs task=mnist", "compare --by task.optimizer.lrr", "exprot outputs/latest"]
    for text in wrong:
        with pytest.raises((AiexpError, AssertionError)):
            accept(Command(DOCS / "start.md", 1, f"aiexp {text}"))


@pytest.mark.parametrize("page", page_files(), ids=lambda p: p.relative_to(DOCS).as_posix())
def test_the_keys_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    if page.name.startswith("from_"):  # the first column has the words of others
        text = re.sub(r"^\|[^|]*\|", "", text, flags=re.MULTILINE)
    code = "\n".join(re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(rf"(?<![\w./])(?:{ROOTS})\.[a-z_.]+(?![\w(/*])", code))
    named = {word for word in named if not re.search(r"\.(py|yaml|safetensors)$", word)}
    rooms = {word for word in named if (ROOT / "aiexp" / word.replace(".", "/")).parent.is_dir()}
    if page.name in ("decisions.md", "architecture.md"):
        named -= rooms
    files = page.parent.glob("conf/*/*.yaml")  # of a tutorial
    own = {f"{path.parent.name}.{word}" for path in files for word in flat_keys(path)}
    named = {word for word in named if not word.endswith("._target_")}
    assert sorted(named - keys() - own) == []


def flat_keys(path: Path) -> set[str]:
    """The keys of a tutorial's own file, those at its top."""
    return set(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("page", page_files(), ids=lambda p: p.relative_to(DOCS).as_posix())
def test_python_on_a_page_compiles_and_names_what_aiexp_offers(page: Path) -> None:
    text = page.read_text("utf-8")
    for block in re.finditer(r"^( *)```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        code = textwrap.dedent(block[2])
        compile(code, str(page), "exec")
        named = set(re.findall(r"\baiexp\.(\w+)\(", code))
        assert named <= set(offered), page


@pytest.mark.parametrize("folder", sorted(EXAMPLES.iterdir()), ids=lambda p: p.name)
def test_a_tutorial_shows_its_files_as_they_are(folder: Path) -> None:
    shown = dict(shown_files(folder / "README.md"))
    assert [name for name, text in shown.items() if (folder / name).read_text("utf-8") != text] == []
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.stat().st_size}
    there = {name for name in there if name != "README.md" and "__pycache__" not in name}
    assert there - set(shown) == set(), "a file of the tutorial is not shown"


def test_the_navigation_has_every_page() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))

    def names(entry: object) -> list[str]:
        if isinstance(entry, dict):
            return [name for inner in entry.values() for name in names(inner)]
        return [name for inner in entry for name in names(inner)] if isinstance(entry, list) else [str(entry)]

    made = [name for name, _ in groups.pages()]
    listed = names(config["nav"])
    assert len(listed) == len(set(listed))
    own = {name for name in listed if not name.startswith("reference/")}
    assert own == set(written(ROOT).values())
    assert {f"reference/{name}" for name in made} <= set(listed)


def test_the_first_page_leads_to_every_task() -> None:
    text = (DOCS / "index.md").read_text("utf-8")
    tasks = groups.public(groups.group_files()["task"])
    assert len(tasks) > 10
    assert [name for name in tasks if f"[{name}](reference/config/task.md#{name})" not in text] == []
