"""Files of tensors, hashed while they are written; of sharded tensors each rank writes its rows."""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from aiexp.checkpoint.part import Part, wanted_rows
from aiexp.world.world import World

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.complex64: "C64",
}  # fmt: skip
SHARDING, NUM_ROWS = "DCP_SHARDING_INFO", "num_rows"  # keys of a file's metadata; the first is torch's


def write_bytes(path: Path, data: bytes) -> dict[str, int | str]:
    """Writes and fsyncs a small file; returns its size and sha256."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def write_safetensors(path: Path, tensors: Mapping[str, Tensor | Part]) -> dict[str, int | str]:
    """Writes tensors in the safetensors format, hashing and fsyncing in the same pass.

    The library's own writer gives files mode 0600, does not fsync and would need a second read for
    the hash. Layout: u64 header length, JSON header, raw little-endian data (safetensors format 1).
    """
    parts = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Part)}
    rows = {name: tensor.rows if isinstance(tensor, Part) else tensor for name, tensor in tensors.items()}
    # Wide elements first, as the library does, so that every tensor starts aligned; then by name, so that
    # the same state is the same bytes in whatever order it was collected.
    rows = dict(sorted(rows.items(), key=lambda item: (-item[1].element_size(), item[0])))
    header: dict[str, Any] = {"__metadata__": _places(parts)} if parts else {}
    offset = 0
    for name, tensor in rows.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        chunks = [struct.pack("<Q", len(head)), head]
        chunks += [memoryview(raw_bytes(t)) for t in rows.values() if t.numel()]
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": 8 + len(head) + offset, "sha256": digest.hexdigest()}


def _places(parts: dict[str, Part]) -> dict[str, str]:
    """Where the rows in a file belong, as torch's own reader of sharded safetensors expects it."""
    offsets = {n: {"saved_offsets": [p.start] + [0] * (p.rows.dim() - 1)} for n, p in sorted(parts.items())}
    num_rows = {name: part.num_rows for name, part in sorted(parts.items())}
    return {SHARDING: json.dumps(offsets), NUM_ROWS: json.dumps(num_rows)}


def raw_bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor as a flat uint8 array, on the CPU (no copy for a contiguous CPU tensor)."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU."""
    if path.stat().st_size == 8 + 2 + 6:  # an empty header, padded to 8
        return {}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_shards(paths: list[Path], world: World) -> dict[str, Tensor | Part]:
    """Tensors whose rows lie in several files, one of each rank that saved them, in order of rank.

    Where ranks shard them again each reads its own rows, however many ranks there were; else they are whole.

    Raises:
        ValueError: rows are missing.
    """
    found: dict[str, list[tuple[Any, range, int]]] = {}
    with ExitStack() as opened:
        for path in paths:
            file = opened.enter_context(safe_open(path, framework="pt"))
            metadata: dict[str, str] = file.metadata() or {}
            offsets, num_rows = (json.loads(metadata[key]) for key in (SHARDING, NUM_ROWS))
            for name in file.keys():  # noqa: SIM118
                rows, start = file.get_slice(name), int(offsets[name]["saved_offsets"][0])
                place = range(start, start + rows.get_shape()[0])
                found.setdefault(name, []).append((rows, place, int(num_rows[name])))
        return {name: _assembled(name, pieces, world) for name, pieces in found.items()}


def _assembled(name: str, pieces: list[tuple[Any, range, int]], world: World) -> Tensor | Part:
    """The wanted rows of one tensor, of slices of files and the rows that each is."""
    num_rows = pieces[0][2]
    wanted = wanted_rows(num_rows, world)
    taken: list[Tensor] = []
    missing = wanted.start
    for rows, place, _ in pieces:
        begin, end = max(place.start, wanted.start), min(place.stop, wanted.stop)
        if begin < end and begin == missing:
            taken.append(rows[begin - place.start : end - place.start])
            missing = end
    if missing != wanted.stop:
        raise ValueError(f"rows {missing} to {wanted.stop - 1} of {name} are missing")
    tensor = torch.cat(taken) if taken else pieces[0][0][:0]
    return Part(rows=tensor, start=wanted.start, num_rows=num_rows) if world.is_sharded else tensor
