"""What is prepared goes into a folder of its own, never into yours."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _data_folder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "network" not in request.keywords:  # these read what was fetched
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("data")
        monkeypatch.setenv("AIEXP_DATA_DIR", str(folder))
