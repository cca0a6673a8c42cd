"""A network that a run of ours has trained, as another run's pretrained one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from aiexp.errors import DataError
from aiexp.model.carried import carry_files
from aiexp.model.peft.merging import is_added, merged_weights
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import MODEL, TRAINED_BY
from aiexp.rundir.weights import learned

NETWORK = "model."  # the attribute of every task that has a pretrained network


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What there is of a network.

    Args:
        folder: Its small files: sizes, tokenizer.
        weights: Of the run's best checkpoint, by their names in the network; heads are left out, adapters
            are computed in.
    """

    folder: Path
    weights: Mapping[str, Tensor]


def trained_network(run: Path) -> Trained:
    """The pretrained network that a run went on training, or the one it made; the new run records which.

    Raises:
        CheckpointError: no intact checkpoint.
        DataError: the run has no such network, or one with keys, values or vectors beside its weights.
    """
    directory = RunDirectory.open(run)
    folder = directory.path / MODEL
    if not (folder / "config.json").is_file():
        raise DataError(
            "this run has trained no text encoder that describes itself", where=str(run),
            fix="name a run of task=bert_finetune; any network of the same sizes: start_from.model=RUN",
        )  # fmt: skip
    found = learned(directory)
    merged = merged_weights(found.weights)
    if any(map(is_added, merged)):
        raise DataError(
            "this run has learned a prefix or a prompt, which a network without it has no place for",
            where=str(run), fix="name a run of peft=none, lora, ia3 or bitfit; or start_from=RUN",
        )  # fmt: skip
    carry_files({TRAINED_BY: json.dumps(found.record(), indent=2).encode()})
    weights = {n.removeprefix(NETWORK): t for n, t in merged.items() if n.startswith(NETWORK)}
    return Trained(folder=folder, weights=weights)
