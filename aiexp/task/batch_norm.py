"""Batch norm needs two examples: whether every batch of a training has them is known before it begins."""

from typing import Any

from torch import nn

from aiexp.dataset.base import Sized
from aiexp.errors import ConfigError


def check_batch_norm(model: Any, dataset: Sized) -> int | None:
    """Rows of the smallest training batch, if the model normalises over batches.

    Raises:
        ConfigError: that is one.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):  # pyright: ignore[reportPrivateUsage]
        return None
    size, num = dataset.batch_size, dataset.num_examples("train")
    last = num - (dataset.batches_per_epoch() - 1) * size
    if min(size, last) != 1:
        return min(size, last)
    which = "every training batch" if size == 1 else f"the last training batch of each epoch ({num} = "
    if size > 1:
        which += f"{num // size} x {size} + 1)"
    raise ConfigError(
        f"{which} has one example, and {type(model).__name__} has batch norm, which needs at least two",
        where="dataset",
        fix=f"dataset.batch_size={'64' if size == 1 else size + 1}, or dataset.drop_last=true"
        if size > 1
        else "dataset.batch_size=64, or a model without batch norm",
    )


def check_ranks(rows: int | None, size: int) -> None:
    """Raises `ConfigError` if a rank would have one row for batch norm.

    Args:
        rows: What `check_batch_norm` returned.
        size: Number of ranks.
    """
    if rows is not None and size > 1 and rows >= size > rows // 2:
        raise ConfigError(
            f"a batch of {rows} examples leaves one for a rank of {size}, and the model has batch norm, "
            "which needs at least two",
            fix=f"dataset.batch_size={2 * size} or more, dataset.drop_last=true",
        )  # fmt: skip
