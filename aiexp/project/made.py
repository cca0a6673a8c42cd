"""A new project, and a new task, model or data set in one: which files, and what stands in them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from aiexp.config.schema.written import SCHEMAS, write_schemas
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.errors import ConfigError
from aiexp.project.names import check_name, check_option, check_package, class_name
from aiexp.storage.files import storage_errors
from aiexp.storage.staged import staged

KINDS = ("dataset", "model", "task")  # in the order in which one builds on another
_TEMPLATES = Path(__file__).with_name("template")
_WORD = re.compile(r"@(\w+)@")
# What a new task takes where the project has no model and no data set of its name.
_SHIPPED = {"model": "vector_mlp", "dataset": "digits"}
_ELSEWHERE = "a folder that can be written to"
_DOORS = {
    "": "Experiments of my own.",
    "task": "What is learned.",
    "model": "Networks.",
    "dataset": "Data.",
}


def make_project(folder: Path) -> list[Path]:
    """A new folder with a task, a model and a data set that run at once, and their tests; returns its files.

    Args:
        folder: Its name is that of the project and its package; it is not there yet, or empty.

    Raises:
        ConfigError: the name cannot be used.
        StorageError: the folder holds something, or cannot be written.
    """
    name, where = folder.name, f"aiexp init {folder}"
    check_name(name, where)
    check_package(name, where)
    for kind in KINDS:
        check_option(kind, name, where)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("there is something of this name already", where=str(folder), fix="another name")
    words = {"name": name, "package": name}
    files = {
        "README.md": filled("README.md", words),
        "pyproject.toml": filled("pyproject.toml", words),
        ".gitignore": filled("gitignore", words),
    }
    for kind in KINDS:
        files |= parts(kind, name, name, {"model": name, "dataset": name})
    files |= doors(name, KINDS)
    with staged(folder) as staging:
        write_new(staging, files)
        with WORKING_DIRECTORY.replaced_by(staging):  # whose code the schemas are of
            write_schemas(staging / "conf", staging / "conf" / SCHEMAS)
    return [folder / path for path in files]


def add_part(kind: str, name: str, root: Path, package: str | None) -> list[Path]:
    """A new task, model or data set in a project: its YAML, code and test; returns its files.

    Args:
        kind: One of `KINDS`.
        name: What is typed after `task=`.
        root: Of the project.
        package: Where code goes; None for the one that the project names, or has.

    Raises:
        ConfigError: the name cannot be used, a file is there already, or no package can be found.
        StorageError: a file cannot be written.
    """
    where = f"aiexp new {kind} {name}"
    check_name(name, where)
    check_option(kind, name, where)
    package = package or package_of(root)
    check_name(package, "--package")
    own = {group: name for group in _SHIPPED if (root / "conf" / group / f"{name}.yaml").is_file()}
    files = parts(kind, name, package, _SHIPPED | own)
    missing = {path: text for path, text in doors(package, [kind]).items() if not (root / path).exists()}
    for path in files:
        if (root / path).exists() or (root / path).is_symlink():
            raise ConfigError(
                f"{path} is there already, and is not overwritten", where=where, fix="another name"
            )
    if (root / package / f"{kind}.py").exists():
        raise ConfigError(
            f"{package}/{kind}.py would be hidden by a folder {package}/{kind}", where=where,
            fix="another --package, or call the file otherwise",
        )  # fmt: skip
    write_new(root, missing | files)
    with WORKING_DIRECTORY.replaced_by(root):
        write_schemas(root / "conf", root / "conf" / SCHEMAS)
    return [root / path for path in files]


def package_of(root: Path) -> str:
    """The package of a project: the one that its pyproject.toml names, or the only one there is.

    Raises:
        ConfigError: there is none, or it cannot be told which.
    """
    settings = root / "pyproject.toml"
    try:
        content: dict[str, Any] = tomllib.loads(settings.read_text("utf-8")) if settings.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is no TOML: {error}", where=str(settings)) from error
    own: Any = content
    for key in ("tool", "aiexp"):
        own = cast(dict[str, Any], own).get(key, {})
        if not isinstance(own, dict):
            raise ConfigError(
                f"{key} is {own!r}, not a table",
                where=str(settings),
                fix='[tool.aiexp] with package = "NAME"',
            )
    named = cast(dict[str, Any], own).get("package")
    if isinstance(named, str) and named:
        return named
    found = sorted(
        p.parent.name for p in root.glob("*/__init__.py") if p.parent.name not in ("tests", "conf")
    )
    if len(found) == 1:
        return found[0]
    what = f"there are several packages here: {', '.join(found)}" if found else "there is no project here"
    fix = f"--package {found[0]}" if found else "aiexp init NAME makes one; or --package NAME"
    raise ConfigError(what, where="aiexp new", fix=fix)


def parts(kind: str, name: str, package: str, takes: Mapping[str, str]) -> dict[str, str]:
    """The files of a task, a model or a data set by their paths in a project.

    Args:
        kind: One of `KINDS`.
        name: Of it.
        package: Of the code.
        takes: The model and the data set that a task takes.
    """
    is_own = takes["dataset"] == name
    words = {
        "name": name,
        "package": package,
        "Class": class_name(name),
        "title": name.replace("_", " ").capitalize(),
        "expected": f"test/accuracy above 0.9 (tests/test_task_{name}.py)" if is_own else "not measured yet",
        **takes,
    }
    return {
        f"conf/{kind}/{name}.yaml": filled(f"{kind}.yaml", words),
        f"{package}/{kind}/{name}.py": filled(f"{kind}.py", words),
        f"tests/test_{kind}_{name}.py": filled(f"test_{kind}.py", words),
    }


def doors(package: str, kinds: tuple[str, ...] | list[str]) -> dict[str, str]:
    """The `__init__.py` files of a package and its rooms."""
    return {
        "/".join(part for part in (package, kind, "__init__.py") if part): f'"""{_DOORS[kind]}"""\n'
        for kind in ("", *kinds)
    }


def filled(template: str, words: Mapping[str, str]) -> str:
    """The text of a template, its words in their places."""
    text = (_TEMPLATES / f"{template}.in").read_text("utf-8")
    return _WORD.sub(lambda found: words[found[1]], text)


def write_new(root: Path, files: Mapping[str, str]) -> None:
    """Writes files that are not there yet."""
    for name, text in files.items():
        path = root / name
        with storage_errors("writing a new file", path, _ELSEWHERE):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
