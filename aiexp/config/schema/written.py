"""The schemas of all groups as files, where an editor finds them."""

import json
from pathlib import Path

from aiexp.config.folders import ConfDirs, builtin_dirs
from aiexp.config.schema.group import group_schema
from aiexp.storage.files import storage_errors

SCHEMAS = ".schema"  # a folder in conf/; hidden ones are not searched for options
MODELINE = "# yaml-language-server: $schema="


def write_schemas(conf: Path | None, folder: Path) -> list[Path]:
    """Writes a schema for each group; returns their paths.

    Args:
        conf: The user's own folder of YAML files, None for none.
        folder: Where they go; made when missing.

    Raises:
        StorageError: it cannot be written.
    """
    builtin = builtin_dirs().builtin
    is_own = conf is not None and conf.is_dir() and conf.resolve() != builtin
    dirs = ConfDirs(user=conf.absolute() if is_own and conf is not None else None, builtin=builtin)
    made: list[Path] = []
    for group in dirs.files():
        path = folder / f"{group.replace('/', '.')}.json"
        with storage_errors("writing a schema", path, "--out FOLDER"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(group_schema(group, dirs), indent=1) + "\n", encoding="utf-8")
        made.append(path)
    return made
