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
    assert said[0].startswith(r"% \usepackage{booktabs}")
    best, second, worst = table[4:7]
    found = re.fullmatch(r"50\\% & 0\.01 & \$\\mathbf\{0\.9026\^\{\+(\S+)\}_\{-(\S+)\}\}\$ & 5 \\\\", best)
    assert found
    assert 0 < float(found[1]) < float(found[2]) < 0.01  # a bootstrap's interval is not symmetric
    assert second.startswith(r"x\&y & 0.02 & $\mathbf{")
    assert worst.startswith(r"a\_b & 0.1 & $0.85")
    assert table[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert all(line.startswith("% ") for line in said[: said.index(r"\begin{tabular}{llrr}")])


def test_few_seeds_have_a_symmetric_interval_and_single_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_seeds(tmp_path / "outputs/toy", [0.8, 0.801], "task.optimizer.lr=0.1")
    make_seeds(tmp_path / "outputs/toy", [0.7], "task.optimizer.lr=0.2")
    assert cli.main(["compare", "--format", "latex"]) == 0
    first, second = capsys.readouterr().out.splitlines()[-4:-2]
    assert first == r"0.1 & $\mathbf{0.8005 \pm 0.0064}$ & 2 \\"  # Student's: 12.706 * 0.0005
    assert second == r"0.2 & $0.7000$ & 1 \\"
