"""`aiexp compare --format latex`."""

import re
from pathlib import Path

import pytest

from aiexp import cli
from tests.compare.made import make_seeds

GOOD = [0.900, 0.905, 0.903, 0.901, 0.904]
BAD = [0.850, 0.856, 0.853, 0.851, 0.855]


def test_latex_has_half_widths_and_bold_for_all_that_may_be_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs/toy"
    make_seeds(folder, BAD, "task.optimizer.lr=0.1", "model.name=a_b")
    make_seeds(folder, GOOD, "task.optimizer.lr=0.01", "model.name=50%")
    make_seeds(folder, [score - 0.0001 for score in GOOD[::-1]], "task.optimizer.lr=0.02", "model.name=x&y")
    assert cli.main(["compare", "--format", "latex"]) == 0
    said = capsys.readouterr().out.splitlines()
    table = said[said.index(r"\begin{tabular}{llrr}") :]
    assert table[2] == r"name & lr & test/accuracy $\uparrow$ & seeds \\"
    best, second, worst = table[4:7]
    assert re.fullmatch(r"50\\% & 0\.01 & \$\\mathbf\{0\.9\d+ \\pm 0\.\d+\}\$ & 5 \\\\", best)
    assert second.startswith(r"x\&y & 0.02 & $\mathbf{")
    assert worst.startswith(r"a\_b & 0.1 & $0.85")
    assert table[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert all(line.startswith("% ") for line in said[: said.index(r"\begin{tabular}{llrr}")])
