"""Small tables of numbers that come with scikit-learn: nothing is fetched."""

from typing import Literal, Unpack

from aiexp.dataset.array.dataset import LABELS, ArrayDataset, X, Y
from aiexp.dataset.array.files import FileBatching


def packaged(
    *,
    collection: Literal["digits", "wine", "breast_cancer", "diabetes"],
    **batching: Unpack[FileBatching],
) -> ArrayDataset:
    """One of scikit-learn's own tables; evaluation and test rows are cut off, always the same ones.

    A batch holds `x` (B, F) float32, and `labels` (B,) int64, or of "diabetes" `y` (B,) float32.

    Args:
        collection: Which.
        batching: See `FileBatching`.
    """
    from sklearn import datasets

    found = getattr(datasets, f"load_{collection}")()
    is_classes = found.target.dtype.kind == "i"
    return ArrayDataset(
        arrays={X: found.data, LABELS if is_classes else Y: found.target},
        class_names=[str(name) for name in found.target_names] if is_classes else None,
        feature_names=list(found.feature_names),
        **batching,
    )
