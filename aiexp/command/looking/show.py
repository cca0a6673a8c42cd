"""`aiexp show`: one run in full, or a config with what each key means and where its value comes from."""

import json
import os
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from aiexp.command.flags import CONFIG_DIR, FORMAT, TRUST, Flags
from aiexp.config.folders import GROUPS, conf_dirs
from aiexp.errors import ConfigError, nearest
from aiexp.storage.reader import PlainDumper
from aiexp.text.terminal import out_lines, out_styled, visible, width

HELP = """\
usage: aiexp show RUN                  one run in full: results, what it depends
                                       on, where things lie, what to type next
       aiexp show KEY=VALUE ... [KEY]  the config that aiexp run would train,
                                       with what each key means and which file
                                       wrote it
  aiexp show task=mnist_cnn
  aiexp show task=mnist_cnn trainer=triangle trainer
  aiexp show latest
"""
if TYPE_CHECKING:  # reading configs imports OmegaConf
    from aiexp.config.described.annotated import Line

FLAGS = Flags(
    "show",
    FORMAT,
    CONFIG_DIR,
    TRUST,
)
FARTHEST, NEAREST = 32, 24  # columns at which comments begin
LEAST = 30  # columns of a comment
TARGET, TYPED = "_target_", "typed"
Styled = tuple[str, str]


def main(argv: list[str]) -> int:
    """Shows it; returns its exit code."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("show")
    form = flags.get("format", "text")
    keys = [word for word in words if "=" not in word and not word.startswith("~")]
    if len(keys) == len(words) == 1 and not _is_key(keys[0]):
        return _show_run(keys[0], form)
    return _show_config([w for w in words if w not in keys], keys, form, flags.get("config-dir"))


def _is_key(word: str) -> bool:
    """Whether a single word is about the default config: a group or key that is no run beside it."""
    return word.partition(".")[0] in GROUPS and not os.path.lexists(word)


def _show_run(word: str, form: str) -> int:
    from aiexp.rundir.directory import RunDirectory
    from aiexp.rundir.record import read_record
    from aiexp.runs.listing import as_json, make_rows
    from aiexp.runs.portrait import portrait

    if form == "json":
        out_lines(
            json.dumps(
                json.loads(as_json(make_rows([read_record(RunDirectory.open(Path(word)).path)], None)))[0],
                indent=2,
            )
        )
        return 0
    out_styled(portrait(Path(word)))
    return 0


def _show_config(overrides: list[str], keys: list[str], form: str, config_dir: str | None) -> int:
    from aiexp.config.compose import compose
    from aiexp.config.described.annotated import annotate

    if len(keys) > 1:
        raise ConfigError(f"show which part, '{keys[0]}' or '{keys[1]}'?", fix="name one key")
    dirs, part = conf_dirs(config_dir), "".join(keys)
    lines = annotate(compose(overrides, config_dir=config_dir), dirs)
    if part and part not in (names := [line.key for line in lines]):
        raise ConfigError(f"no key '{part}'.{nearest(part, names)}", fix="leave it out to see all keys")
    chosen = [line for line in lines if not part or line.key == part or line.key.startswith(f"{part}.")]
    if form == "json":
        fields = ("key", "value", "comment", "source", "reference")
        out_lines(
            json.dumps(
                [{f: getattr(line, f) for f in fields} for line in chosen if not line.is_block], indent=2
            )
        )
    else:
        out_styled(_as_yaml(chosen, width()))
    return 0


def _as_yaml(lines: Sequence["Line"], columns: int | None) -> Iterator[Styled]:
    """YAML with comments: what a key means, and in brackets which file wrote it.

    A block names its files once; of its keys, those have a name that another file wrote than most of them.
    """
    first = min(line.key.count(".") for line in lines)
    for group in _grouped(lines):
        left = [_written(line, first) for line in group]
        longest = max((len(text) for text in left if TARGET not in text), default=0)
        start = min(max(NEAREST, longest), FARTHEST) + 2
        most = Counter(line.source for line in group if line.source != TYPED).most_common(1)
        base = most[0][0] if most else ""
        for line, text in zip(group, left, strict=True):
            is_head = line is group[0] and line.is_block
            label = _files(line.source, base) if is_head else "" if TARGET in text else _label(line, base)
            reference = f"= {line.reference}" if line.reference else ""
            notes = " ".join(filter(None, [f"[{label}]" if label else "", reference, line.comment]))
            style = "green" if line.source == TYPED else "bold" if is_head else ""
            yield from ((part, style) for part in _beside(text, notes, start, columns))


def _grouped(lines: Sequence["Line"]) -> list[list["Line"]]:
    """The lines of each group together, in the order of `GROUPS`; those of no group first."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        name = line.key.partition(".")[0]
        groups.setdefault(name if name in GROUPS else "", []).append(line)
    return [groups[name] for name in ("", *GROUPS) if name in groups]


def _files(source: str, base: str) -> str:
    """`conf/trainer/cosine.yaml on default`."""
    return source if not source or base in ("", source) else f"{source} on {Path(base).stem}"


def _written(line: "Line", first: int) -> str:
    """`  key: value`."""
    depth, name = line.key.count(".") - first, line.key.rpartition(".")[2]
    value = "" if line.is_block else f" {_value(line.value)}"
    return visible(f"{'  ' * depth}{name}:{value}")


def _value(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.dump(value, Dumper=PlainDumper, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _label(line: "Line", base: str) -> str:
    """How the file that wrote a key is called beside it."""
    if line.source in ("", base, TYPED):
        return TYPED if line.source == TYPED else ""
    path, group = Path(line.source), line.key.partition(".")[0]
    return path.stem if path.parent.name == group else f"{path.parent.name}/{path.stem}"


def _beside(text: str, notes: str, start: int, columns: int | None) -> list[str]:
    """A line and its comment; a long comment goes on below itself."""
    if not notes:
        return [text]
    room = 10**6 if columns is None else max(columns - start - 2, LEAST)
    parts = textwrap.wrap(visible(notes), room, break_long_words=False, break_on_hyphens=False)
    if len(text) > start - 2:
        return [text, *(f"{' ' * start}# {part}" for part in parts)] if columns else [f"{text}  # {notes}"]
    return [f"{text if i == 0 else '':<{start}}# {part}" for i, part in enumerate(parts)]
