"""How well texts are told apart: the evaluation that classifiers of texts share."""

from typing import Any

from torch import Tensor

from aiexp.dataset.base import Dataset
from aiexp.task.base import Task
from aiexp.task.classification.report import BETTER, MATRIX, classification_report, score
from aiexp.task.report import Evaluation


def evaluate_texts(
    task: Task, dataset: Dataset, split: str, class_names: list[str], num_worst: int, *, report: bool
) -> Evaluation:
    """Loss, accuracy and macro F1; as a report also per-class table, confusion matrix, worst errors.

    Args:
        task: Whose `logits` are judged.
        dataset: A text data set.
        split: "eval" or "test".
        class_names: Of the classes.
        num_worst: Rows in the table of the most confident errors.
        report: Whether the pictures and tables are made.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in task.dealt(dataset, split):
        moved = task.to_device(batch)
        parts.append((task.logits(moved).cpu(), batch["labels"], batch["index"]))
    metrics, truth, probabilities, index = score(task.gathered(parts))
    if not report:
        return Evaluation(metrics=metrics, better=BETTER)
    data: Any = dataset
    texts: list[str] = data.texts(split)
    matrix, tables = classification_report(
        truth, probabilities, class_names, [texts[i] for i in index.tolist()], num_worst, "text"
    )
    return Evaluation(
        metrics=metrics, better=BETTER, pictures={MATRIX: matrix.png}, pdfs={MATRIX: matrix.pdf},
        tables=tables,
    )  # fmt: skip
