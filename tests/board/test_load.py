"""What a run takes of the machine, asked by several pages at once."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiexp.board import load as module
from aiexp.board.load import Load


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process takes")
def test_many_who_ask_at_once_get_one_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    (tmp_path / "status.json").write_text(json.dumps({"state": "running", "pid": os.getpid()}))
    load = Load(tmp_path)
    for seconds, most in ((0.0, 0), (1.0, 1), (0.5, 1), (0.6, 2)):  # the first has nothing before it
        now[0] += seconds
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: len(load.sample()["samples"]), range(8)))
        assert found == [most] * 8
