"""`aiexp schema [GROUP]`: JSON schemas, by which editors complete and check the YAML files."""

import json
from pathlib import Path

from aiexp.command.flags import Flag, Flags
from aiexp.errors import ConfigError, nearest
from aiexp.text.terminal import out_lines

HELP = """\
usage: aiexp schema [GROUP]

Writes a JSON schema for the YAML files of each group into conf/.schema, out of
the annotations and docstrings that configs are checked by, those of your own
code too. Editors with a YAML language server (VS Code: the extension YAML of
Red Hat) then complete keys and options, say what each is, and mark what is
wrong. A file asks for it by a comment:
  # yaml-language-server: $schema=../.schema/task.json
With GROUP it prints that schema. Write them anew when arguments have changed.
"""
FLAGS = Flags("schema", Flag("--out", "another folder than conf/.schema", value="FOLDER"))


def main(argv: list[str]) -> int:
    """Writes the schemas or prints one."""
    words, flags = FLAGS.parse(argv)
    from aiexp.config.folders import conf_dirs, shown
    from aiexp.config.schema.group import group_schema
    from aiexp.config.schema.written import MODELINE, SCHEMAS, write_schemas

    dirs = conf_dirs()
    for word in words:
        if word not in dirs.files():
            what = f"no group '{word}'.{nearest(word, dirs.files())}"
            raise ConfigError(what, where="aiexp schema", fix=f"groups are {' '.join(dirs.files())}")
    if words:
        if len(words) > 1 or "out" in flags:
            raise ConfigError(
                "one group is printed at a time", where="aiexp schema", fix="aiexp schema GROUP"
            )
        out_lines(json.dumps(group_schema(words[0], dirs), indent=2))
        return 0
    conf = dirs.user or Path("conf")
    folder = Path(flags["out"]) if "out" in flags else conf / SCHEMAS
    made = write_schemas(dirs.user, folder)
    lines = [shown(path) for path in made]
    lines += ["", f"in a file of {shown(conf)}/task  {MODELINE}../{SCHEMAS}/task.json"]
    out_lines("\n".join(lines))
    return 0
