"""One picture of any kind, and thousands of them at once; every picture is generated here."""

import ast
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import aiexp
from aiexp.dataset.image import reader as image_reader
from aiexp.dataset.image.file import find_images, read_image
from aiexp.dataset.image.picture import file_pictures
from aiexp.dataset.image.reader import available_bytes, read_images
from aiexp.errors import DataError, MemoryFullError


def corners(size: int = 8) -> np.ndarray:
    """A picture with a colour of its own in each quarter: red, green / blue, grey."""
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[:half, :half] = (250, 0, 0)
    pixels[:half, half:] = (0, 240, 0)
    pixels[half:, :half] = (0, 0, 230)
    pixels[half:, half:] = (100, 100, 100)
    return pixels


def read(path: Path, size: int = 8, channels: int = 3) -> np.ndarray:
    """(H, W, C), as numpy has it."""
    image = read_image(path, size, channels)
    assert (image.shape, image.dtype) == ((channels, size, size), torch.uint8)
    assert image.is_contiguous()
    return image.permute(1, 2, 0).numpy()


def test_pixels_of_the_right_size_stay_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "x.png")
    assert (read(tmp_path / "x.png") == corners()).all()
    grey = read(tmp_path / "x.png", channels=1)[..., 0]
    assert grey[0, 0] == round(0.299 * 250)
    assert grey[-1, -1] == 100


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_png(tmp_path: Path, mode: str, channels: int) -> None:
    Image.fromarray(corners()).convert(mode).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    assert (read(tmp_path / "x.png", channels=channels) == expected.reshape(8, 8, channels)).all()


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    alpha = np.full((8, 8, 1), 255, np.uint8)
    alpha[0, 0], alpha[0, 7] = 0, 51  # nothing of the red, a fifth of the green
    Image.fromarray(np.concatenate([corners(), alpha], 2)).save(tmp_path / "rgba.png")
    pixels = read(tmp_path / "rgba.png")
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 7].tolist() == [204, 252, 204]
    assert pixels[7, 0].tolist() == [0, 0, 230]
    assert read(tmp_path / "rgba.png", channels=1)[0, 0].tolist() == [255]


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(corners()).quantize(4)
    red = image.getpixel((0, 0))
    image.save(tmp_path / "index.png", transparency=red)  # one index
    image.save(tmp_path / "bytes.png", transparency=bytes(0 if i == red else 255 for i in range(4)))
    image.save(tmp_path / "x.gif", transparency=red)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("index.png", "bytes.png", "x.gif"):
            pixels = read(tmp_path / name)
            assert pixels[0, 0].tolist() == [255, 255, 255], name
            assert pixels[7, 0].tolist() == [0, 0, 230], name
    Image.fromarray(corners()).save(tmp_path / "key.png", transparency=(250, 0, 0))  # one colour
    assert read(tmp_path / "key.png")[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    expected = np.rint(values / 257)
    for channels in (1, 3):
        assert np.abs(read(tmp_path / name, channels=channels) - expected[..., None]).max() == 0


@pytest.mark.parametrize("name", ["x.tif", "x.jpg"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    Image.fromarray(corners(32)).convert("CMYK").save(tmp_path / name)
    pixels = read(tmp_path / name, 32).astype(int)
    assert np.abs(pixels[4, 4] - [250, 0, 0]).max() < 12
    assert np.abs(pixels[28, 4] - [0, 0, 230]).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(32, 32), (32, 48), (49, 32)])
def test_the_cameras_orientation_is_obeyed(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    upright = np.zeros((*shape, 3), np.uint8)
    top, left = (shape[0] - 32) // 2, (shape[1] - 32) // 2
    upright[top : top + 32, left : left + 32] = corners(32)
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "x.png", exif=exif)
    pixels = read(tmp_path / "x.png", 32).astype(int)
    assert np.abs(pixels - corners(32))[[4, 4, 28, 28], [4, 28, 4, 28]].max() == 0


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp"])
def test_damaged_metadata_do_not_matter(tmp_path: Path, name: str) -> None:
    for exif in (b"Exif\0\0garbage-garbage", b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"):
        Image.new("RGB", (16, 16), (200, 200, 200)).save(tmp_path / name, exif=exif)
        assert np.abs(read(tmp_path / name).astype(int) - 200).max() <= 3


def test_the_centred_square_is_resized_with_antialias(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)
    Image.fromarray(random).save(tmp_path / "wide.png")
    Image.fromarray(random.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    square = torch.from_numpy(random[:, 20:80]).permute(2, 0, 1)[None].float()
    for size in (20, 60, 90):
        expected = torch.nn.functional.interpolate(square, size=(size, size), mode="bilinear", antialias=True)
        expected = expected[0].permute(1, 2, 0).numpy()
        # The square's border may see one picture row beyond it.
        inner = slice(2, -2)
        difference = np.abs(read(tmp_path / "wide.png", size) - expected)[inner, inner]
        assert difference.max() < 1.01
        tall = read(tmp_path / "tall.png", size).transpose(1, 0, 2)
        assert np.abs(tall - expected)[inner, inner].max() < 1.01


def test_a_reduced_jpeg_looks_the_same(tmp_path: Path) -> None:
    y, x = np.mgrid[:512, :768]
    waves = 128 + 100 * np.sin(x / 20)[..., None] * np.cos(y[..., None] / np.array([15, 25, 35]))
    Image.fromarray(waves.astype(np.uint8)).save(tmp_path / "x.jpg", quality=95)
    with Image.open(tmp_path / "x.jpg") as image:
        image.convert("RGB").save(tmp_path / "x.png")
    difference = np.abs(read(tmp_path / "x.jpg", 64).astype(int) - read(tmp_path / "x.png", 64))
    assert difference.mean() < 1
    assert difference.max() <= 6


def test_broken_files_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(
        tmp_path / "x.png"
    )
    whole = (tmp_path / "x.png").read_bytes()
    broken = {
        "cut.png": (whole[: len(whole) // 2], "truncated"),
        "text.png": (b"hello", "it is not a picture"),
        "empty.png": (b"", "it is empty"),
        "damaged.png": (whole[:60] + b"\0" * 40 + whole[100:], "."),
        "header.png": (whole[:20], "."),
    }
    for name, (data, why) in broken.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DataError, match=why) as caught:
            read_image(path, 8, 3)
        assert (caught.value.where, caught.value.exit_code) == (str(path), 3)
        assert "\n" not in caught.value.line()
        assert caught.value.line().count(name) == 1
    with pytest.raises(DataError, match="there is no such file"):
        read_image(tmp_path / "none.png", 8, 3)
    with pytest.raises(DataError, match="is a directory"):
        read_image(tmp_path, 8, 3)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"32-bit numbers \(mode F\)"):
        read_image(tmp_path / "float.tif", 8, 3)


def test_a_picture_never_starts_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow has Ghostscript draw an EPS, whatever the file is named."""
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    picture = tmp_path / "x.png"
    picture.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match="it is not a picture"):
        read_image(picture, 8, 3)
    assert not (tmp_path / "canary").exists()


def test_every_picture_is_opened_with_a_list_of_formats() -> None:
    calls = [
        node
        for path in Path(aiexp.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert len(calls) >= 5
    for call in calls:
        assert "formats" in {keyword.arg for keyword in call.keywords}, ast.unparse(call)


@pytest.mark.parametrize("side", [9_500, 14_000])  # Pillow itself warns of the first and refuses the second
def test_decompression_bombs_are_refused(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    with pytest.raises(DataError, match="pixels") as caught:
        read_image(tmp_path / "bomb.png", 8, 3)
    assert caught.value.where.endswith("bomb.png")


def test_find_images(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a.gif", "b/notes.txt", ".hidden/x.png", "b/._1.png", "b/c/d/3.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]
    assert found == ["a.gif", "b/1.jpeg", "b/2.PNG", "b/c/d/3.webp"]
    with pytest.raises(DataError, match="cannot be listed"):
        find_images(tmp_path / "none")


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """150 pictures, each of one colour."""
    paths = [tmp_path / f"{i:03}.png" for i in range(150)]
    for i, path in enumerate(paths):
        Image.new("L", (5, 5), i).save(path)
    return paths


def test_many_files_in_order(many: list[Path]) -> None:
    images, rows, _ = read_images(file_pictures(many), 4, 3, skip_bad=False, source="here")
    assert images.shape == (150, 3, 4, 4)
    assert (images == torch.arange(150, dtype=torch.uint8).view(-1, 1, 1, 1)).all()
    assert rows.tolist() == list(range(150))


def test_one_broken_file_among_many(many: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    for row in (140, 71, 73, 0):
        many[row].write_bytes(b"x")
    with pytest.raises(DataError, match="it is not a picture") as caught:
        read_images(file_pictures(many), 4, 3, skip_bad=False, source="here")
    assert caught.value.where == str(many[0])  # the first, whichever thread was faster
    assert "dataset.on_bad_sample=skip" in caught.value.fix
    with caplog.at_level(logging.WARNING):
        images, rows, _ = read_images(file_pictures(many), 4, 1, skip_bad=True, source="here")
    kept = [row for row in range(150) if row not in (140, 71, 73, 0)]
    assert rows.tolist() == kept
    assert images[:, 0, 0, 0].tolist() == kept
    (line,) = caplog.messages
    assert line.startswith("here: 4 of 150 pictures left out, the first: ")
    assert [f"{row:03}.png" in line for row in (0, 71, 73, 140)] == [True, True, True, False]


def test_threads_show_no_warnings(many: list[Path]) -> None:
    image = Image.fromarray(corners()).quantize(4)
    for path in many:
        image.save(path, transparency=bytes([0, 255, 255, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, *_ = read_images(file_pictures(many), 8, 3, skip_bad=False, source="here")
    assert (images == images[0]).all()


def test_memory_is_checked_before_anything_is_read(many: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(image_reader, "decode", never)
    monkeypatch.setattr(image_reader, "available_bytes", lambda: 1_000_000)
    with pytest.raises(MemoryFullError) as caught:
        read_images(file_pictures(many), 64, 3, skip_bad=False, source="here")
    assert caught.value.exit_code == 7
    assert caught.value.what.startswith("150 pictures of 3x64x64 bytes need 0.0 GB")
    assert caught.value.fix == "image_size=42 or smaller, or limit=65 or less"
    image_reader.check_memory((150, 3, 42, 42), "here")
    image_reader.check_memory((65, 3, 64, 64), "here")


def test_available_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = available_bytes()
    assert free is None or 1e6 < free < 1e15
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n",
        "/sys/fs/cgroup/memory.max": "1000000\n",
        "/sys/fs/cgroup/memory.current": "900000\n",
        "/sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 300000\n",
    }

    def text(path: Path, **_: Any) -> str:
        if str(path) not in files:
            raise FileNotFoundError
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", text)
    assert available_bytes() == 400_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert available_bytes() == 4_096_000
    files.clear()
    assert available_bytes() is None
