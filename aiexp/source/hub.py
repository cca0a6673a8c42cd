"""Gets the files of an entry from the Hugging Face hub, or from its cache on this machine."""

import shutil
import sys
from pathlib import Path

from aiexp.source.catalog.entry import Entry, Hub
from aiexp.source.download import is_offline
from aiexp.source.failure import SourceFailed
from aiexp.source.probe import why_silent


def fetch_files(source: Hub, entry: Entry, target: Path) -> None:
    """Copies the files of `entry` into the folder `target`; the caller verifies them.

    Raises:
        SourceFailed: neither in the hub's cache nor reachable.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise SourceFailed("huggingface_hub is not installed") from None
    if entry.trees:
        raise SourceFailed("folders of files are not read from the hub")
    names = {f.path: f"{source.folder}/{f.path}" if source.folder else f.path for f in entry.files}
    found: dict[str, Path] = {}
    for path, name in names.items():
        cached = huggingface_hub.try_to_load_from_cache(source.repository, name, revision=source.revision)
        if isinstance(cached, str):
            found[path] = Path(cached)
    if len(found) < len(names):
        if problem := why_unreachable():
            raise SourceFailed(problem)
        if not sys.stderr.isatty():
            huggingface_hub.utils.disable_progress_bars()
        try:
            for path, name in names.items():
                local = huggingface_hub.hf_hub_download(source.repository, name, revision=source.revision)
                found[path] = Path(local)
        except Exception as error:  # of three libraries; all mean "next source"
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SourceFailed(f"{source.repository}: {first}") from None
    for path, local in found.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, target / path)


def why_unreachable() -> str:
    """Why the hub cannot be used, "" when it answers; takes a few seconds at most."""
    from huggingface_hub import constants

    if is_offline():
        return "AIEXP_OFFLINE forbids the network"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids the network"
    problem = why_silent(constants.ENDPOINT)
    return f"the hub {problem}" if problem else ""
