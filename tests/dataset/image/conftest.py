"""Generated pictures; what is prepared goes into a folder of its own, never into yours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dataset.image.shards import KINDS


@pytest.fixture(autouse=True)
def _data_folder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "network" not in request.keywords:  # these read what was fetched
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("data")
        monkeypatch.setenv("AIEXP_DATA_DIR", str(folder))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """45 pictures of three classes, in five formats and of several shapes, all different."""
    random = np.random.default_rng(0)
    for i in range(45):
        suffix = ("jpg", "png", "gif", "bmp", "webp")[i % 5]
        path = tmp_path / "pets" / f"class{i % 3}" / ("deep" if i % 7 == 0 else ".") / f"{i:02}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (20 + i % 4, 20 + i % 3, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pets"


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Shards of each kind."""
    return KINDS[request.param](tmp_path)
