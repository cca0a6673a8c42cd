"""Generated shards of every kind, the same 24 pictures in each."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image

from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.shards import image_shards

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "image_shards.yaml"
COUNT = 24
CLASSES = ["ant", "bee"]
Batch = dict[str, torch.Tensor]


def make(files: Path | str, **changes: Any) -> ImageDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    settings = {"train_files": str(files), "seed": 0, "image_size": 12, "batch_size": 8, "eval_batch_size": 5}
    settings |= {"memory": "lazy", "num_workers": 0, "eval_fraction": 0, "test_fraction": 0}
    return image_shards(**{**values, **settings, **changes})


def picture(number: int) -> bytes:
    """A PNG of 12 pixels with its number in its colours, so that nothing is resized."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    pixels[0, 0] = number
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(numbers: range, label: Callable[[int], str] = lambda i: str(i % 2)) -> list[tuple[str, bytes]]:
    return [
        member
        for i in numbers
        for member in ((f"./{i:04}.png", picture(i)), (f"./{i:04}.cls", label(i).encode()))
    ]


def tars(folder: Path) -> str:
    for shard in range(3):
        numbers = range(shard * 8, shard * 8 + 8)
        if shard == 1:  # with JSON, other files and a name for each class
            members = [
                member
                for i in numbers
                for member in (
                    (f"{i:04}.txt", b"a caption"),
                    (f"{i:04}.seg.png.txt", b""),
                    (f"{i:04}.png", picture(i)),
                    (f"{i:04}.json", json.dumps({"label": i % 2, "width": 12}).encode()),
                )
            ]
        else:
            members = samples(numbers)
        write_tar(folder / f"train-{shard:03}.tar", members)
    return str(folder / "train-{000..002}.tar")


def zips(folder: Path) -> str:
    for shard in range(3):
        with zipfile.ZipFile(folder / f"train{shard}.zip", "w") as archive:
            for i in range(shard * 8, shard * 8 + 8):
                # Three kinds of packing; one has the time of day in it, which a local header also tells.
                kind = zipfile.ZIP_DEFLATED if shard == 1 else zipfile.ZIP_STORED
                archive.writestr(f"photos/{CLASSES[i % 2]}/{i:04}.png", picture(i), kind)
            archive.writestr("__MACOSX/ant/._0001.png", b"nothing")
            archive.writestr("photos/readme.txt", "hello")
    return str(folder / "train*.zip")


def parquets(folder: Path, **changes: Any) -> str:
    for shard in range(3):
        numbers = range(shard * 8, shard * 8 + 8)
        cells = [{"bytes": picture(i), "path": f"{i:04}.png"} for i in numbers]
        table = pa.table({"label": [i % 2 for i in numbers], "image": cells, "other": [1.5] * 8})
        features = {"label": {"names": CLASSES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(metadata), folder / f"train-{shard}.parquet", **changes)
    return str(folder / "train-?.parquet")


KINDS = {"tar": tars, "zip": zips, "parquet": parquets}


def numbers(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def take(dataset: ImageDataset, start: int, count: int) -> list[Batch]:
    return list(islice(dataset.train_batches(start), count))


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)
