"""A data folder of its own for each test, and no package index of the machine's owner."""

from pathlib import Path

import pytest

from aiexp.source import pypi
from aiexp.source.catalog import entries as catalog
from aiexp.source.catalog.entry import Entry


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("AIEXP_DATA_DIR", str(folder))
    for name in ("AIEXP_OFFLINE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    # Asking the real pip costs half a second; test_pypi does it once.
    monkeypatch.setattr(pypi, "_run_pip", lambda *arguments: "")
    monkeypatch.setattr(pypi, "_default_index", list)
    return folder


@pytest.fixture
def add_entry(monkeypatch: pytest.MonkeyPatch):
    def add(entry: Entry) -> Entry:
        monkeypatch.setitem(catalog.ENTRIES, entry.name, entry)
        return entry

    return add
