"""The seal of a complete run: digests of its metrics and results, written into status.json at its end.

A changed digit, an emptied file and a disk's zeros leave a file that can be read; the seal tells them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from aiexp.errors import CheckpointError
from aiexp.rundir.file import METRICS, STATUS, metrics_bytes
from aiexp.rundir.state import COMPLETE

RESULTS = "metrics"  # the key of status.json
FIX = "restore the file from a copy, or run again: the numbers cannot be trusted"


def make_seal(run: Path, results: dict[str, float]) -> dict[str, str]:
    """The digests of a run that has ended.

    Args:
        run: Its directory.
        results: Its final metrics.
    """
    content = metrics_bytes(run / METRICS, is_strict=True)
    return {METRICS: hashlib.sha256(content).hexdigest(), RESULTS: digest_of(results)}


def digest_of(results: dict[str, float]) -> str:
    """sha256 of final metrics, whatever their order and the file's layout."""
    return hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()


def check_seal(run: Path, status: dict[str, Any]) -> None:
    """Raises `CheckpointError` when a complete run is not as it was sealed; others are not sealed yet.

    Args:
        run: Its directory.
        status: Content of its status.json.
    """
    seal: dict[str, str] = status.get("seal") or {}
    if status.get("state") not in COMPLETE or not seal:
        return
    if seal.get(RESULTS) != digest_of(status.get(RESULTS) or {}):
        raise CheckpointError("the results in status.json are not those that the run ended with",
                              where=str(run / STATUS), fix=FIX)  # fmt: skip
    if seal.get(METRICS) != hashlib.sha256(metrics_bytes(run / METRICS)).hexdigest():
        raise CheckpointError(
            "metrics.jsonl is not as the run ended with it", where=str(run / METRICS), fix=FIX
        )
