"""docs/python.ipynb runs from the first cell to the last, and says what it promises."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiexp.dataset.image.published import published_images
from aiexp.errors import AiexpError
from tests.dataset.built_in import values_of
from tests.forks import in_fork

NOTEBOOK = Path(__file__).parents[2] / "docs" / "python.ipynb"


def code_cells() -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "outputs grow old: save it without them"
    return ["".join(cell["source"]) for cell in cells]


@pytest.mark.slow
@pytest.mark.network
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        published_images(**values_of("mnist")).images("test")
    except AiexpError as error:
        pytest.skip(f"no source reachable: {error.what}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    def body() -> None:
        for number, cell in enumerate(code_cells()):
            exec(compile(cell, f"cell {number}", "exec"), names)
        assert names["answers"][0].values["label"] in names["task"].class_names
        assert names["logits"].shape == (1, 10)
        assert names["more"].test["loss"] < names["run"].test["loss"]
        assert len(names["losses"]) == 2  # of both epochs
        groups = {g.values["task.optimizer.lr"]: len(g.records) for g in names["comparison"].groups}
        assert groups == {0.0003: 2, 0.001: 1, 0.003: 2}

    ended = in_fork(body, tmp_path)
    assert ended.code == 0, ended.stderr
