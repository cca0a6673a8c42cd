"""Reading a .wandb file: a LevelDB-style log of protobuf records (wandb 0.31)."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK_BYTES = 32768
FILE_HEADER_BYTES = 7
CHUNK_HEADER = struct.Struct("<IHB")  # crc32, length, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbFile:
    """What one segment of a run says."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history without W&B's own columns."""
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in self.history]


def read_records(path: Path) -> Iterator[Any]:
    """The records in order; a torn tail ends the file, a wrong checksum is an error."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B", f"{path} is not a .wandb file"
    position, payload = FILE_HEADER_BYTES, b""
    while position + CHUNK_HEADER.size <= len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        if left < CHUNK_HEADER.size:
            position += left
            continue
        checksum, length, kind = CHUNK_HEADER.unpack_from(data, position)
        position += CHUNK_HEADER.size
        chunk = data[position : position + length]
        if kind == 0 or len(chunk) < length:
            return
        assert zlib.crc32(bytes([kind]) + chunk) == checksum, f"{path}: bad checksum at {position}"
        position += length
        payload = chunk if kind in (FULL, FIRST) else payload + chunk
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(payload)
            yield record


def read_wandb_file(path: Path) -> WandbFile:
    """The segment in `path`."""
    out = WandbFile()
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            out.id, out.name, out.group, out.job_type = (
                run.run_id,
                run.display_name,
                run.run_group,
                run.job_type,
            )
            out.project, out.tags, out.notes = run.project, list(run.tags), run.notes
            out.config.update(values(u for u in run.config.update if u.key != "_wandb"))
        elif kind == "config":
            out.config.update(values(record.config.update))
        elif kind == "history":
            out.history.append(values(record.history.item))
        elif kind == "summary":
            out.summary.update(values(record.summary.update))
        elif kind == "metric":
            out.step_metrics[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        elif kind == "files":
            out.files += [item.path for item in record.files.files]
        elif kind == "exit":
            out.exit_code = record.exit.exit_code
    return out


def values(items: Any) -> dict[str, Any]:
    """Key (nested keys joined by a dot) to value."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
