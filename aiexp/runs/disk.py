"""How much of the disk folders take; blocks of checkpoints may be hard links, which cost nothing twice."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own


def disk_bytes(paths: Iterable[Path]) -> int:
    """Bytes on the disk of everything in `paths`, each file once however many links it has."""
    return sum({(s.st_dev, s.st_ino): s.st_blocks * BLOCK_BYTES for s in _files(paths)}.values())


def freed_bytes(paths: Iterable[Path]) -> int:
    """Bytes that removing `paths` gives back: a file linked from elsewhere gives back nothing."""
    found: dict[tuple[int, int], list[os.stat_result]] = {}
    for status in _files(paths):
        found.setdefault((status.st_dev, status.st_ino), []).append(status)
    return sum(
        links[0].st_blocks * BLOCK_BYTES for links in found.values() if len(links) >= links[0].st_nlink
    )


def _files(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """Everything in the folders that is no folder; links themselves, not what they point to."""
    folders = [os.fspath(path) for path in paths]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
        except OSError:  # being removed, or not ours to read
            continue
