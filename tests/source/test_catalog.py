import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from aiexp.errors import ConfigError
from aiexp.source import cache
from aiexp.source.catalog import entries as catalog
from aiexp.source.catalog import fonts as catalog_fonts
from aiexp.source.catalog import images as catalog_images
from aiexp.source.catalog import texts as catalog_texts
from aiexp.source.catalog.entries import ENTRIES, find_entry
from aiexp.source.catalog.entry import Archive, Entry, Hub
from aiexp.source.catalog.fonts import FONT_ENTRIES
from aiexp.source.catalog.images import IMAGE_ENTRIES


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda e: e.name)
def test_entries_pin_everything(entry) -> None:
    assert find_entry(entry.name) is entry
    assert re.fullmatch(r"[a-z][a-z0-9_]*", entry.name)
    assert entry.what
    assert entry.licence
    assert entry.files or entry.trees
    for item in (*entry.files, *entry.trees, *(s for s in entry.sources if isinstance(s, Archive))):
        assert re.fullmatch(r"[0-9a-f]{64}", item.sha256)
    for item in (*entry.files, *entry.trees):
        path = PurePosixPath(item.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
    for source in entry.sources:
        if isinstance(source, Hub):
            assert re.fullmatch(r"[0-9a-f]{40}", source.revision)


def test_no_entry_hides_another() -> None:
    """Each `Entry` that a module of the catalog defines is found, under a name and in a folder of its own."""
    modules = [catalog, catalog_images, catalog_fonts, catalog_texts]
    made = {id(v): v for m in modules for v in vars(m).values() if isinstance(v, Entry)}
    made |= {id(v): v for v in (*IMAGE_ENTRIES, *FONT_ENTRIES)}
    assert {id(entry) for entry in ENTRIES.values()} == set(made)
    assert [entry.name for entry in ENTRIES.values()] == list(ENTRIES)
    assert len({cache.entry_dir(entry) for entry in ENTRIES.values()}) == len(made)


def test_an_unknown_entry_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"called 'minlm'. Did you mean 'minilm'") as caught:
        find_entry("minlm")
    assert all(name in caught.value.fix for name in ENTRIES)


def test_data_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("AIEXP_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.data_dir() == tmp_path / "aiexp"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # invalid by the XDG rules
    assert cache.data_dir() == Path.home() / ".cache" / "aiexp"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.data_dir() == Path.home() / "Library" / "Caches" / "aiexp"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.data_dir() == tmp_path / "local" / "aiexp"


def test_new_content_is_a_new_folder() -> None:
    from tests.source.toy import entry, tree

    one, other = entry(), entry(trees=(tree(),))
    assert cache.entry_dir(one) != cache.entry_dir(other)
    assert cache.entry_dir(one) == cache.entry_dir(entry())
    assert cache.entry_dir(one).parent == cache.entry_dir(other).parent == cache.data_dir() / "files"
    assert cache.entry_dir(one).name.startswith("toy-")


def test_no_address_of_a_registry_is_written_down() -> None:
    root = Path(cache.__file__).parents[2]
    text = "".join(
        p.read_text()
        for folder in ("aiexp/source", "conf/dataset")
        for p in (root / folder).iterdir()
        if p.is_file()
    )
    assert not re.search(r"https?://", text)


def test_command_imports_nothing_heavy() -> None:
    code = (
        "import sys; from aiexp.command.looking.data import main; main(['list']); import aiexp.source.fetch\n"
        "heavy = {'torch', 'numpy', 'transformers', 'huggingface_hub', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
