"""The pictures of the README: makes a short sweep of mnist_cnn and looks at them with Chromium.

python scripts/board_pictures.py               docs/board.png and docs/compare.png, in 8 minutes
python scripts/board_pictures.py --runs DIR    of runs that are there already
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
SMALL = ["task=mnist_cnn", "dataset.limit=4000", "trainer.epochs=3", "trainer.log_every=5", "tracker=none"]
SWEEP = ["-m", "task.optimizer.lr=0.0003,0.001,0.003", "seed=0,1,2", "trainer.evaluate_every=20"]
UNDER_WAY = ["task.optimizer.lr=0.01", "trainer.epochs=8", "trainer.evaluate_every=20"]
MOST_BYTES = 250_000


def aiexp(*words: str) -> list[str]:
    return [sys.executable, "-m", "aiexp", *words]


@contextmanager
def started(words: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(words, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium(width: int) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        browser.close()


def save(picture: bytes, path: Path) -> None:
    """Writes a picture in few colours, which a page has anyway."""
    with Image.open(io.BytesIO(picture)) as image:
        colors = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        colors.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"{path} has {path.stat().st_size} bytes, more than {MOST_BYTES}")
    print(f"{path}: {path.stat().st_size} bytes")


def picture_of_board(outputs: Path) -> None:
    words = aiexp("board", str(outputs), "--port", "0")
    with started(words, stderr=subprocess.PIPE) as board, chromium(1400) as page:
        assert board.stderr is not None
        page.goto(board.stderr.readline().split()[2] + "#show=each")
        page.wait_for_selector("#table tbody tr", state="attached")
        page.evaluate("byId('findings').hidden = true; byId('table').style.maxHeight = '215px'")
        page.evaluate("byId('panels').scrollIntoView()")
        page.wait_for_selector("#panels .main-svg", state="attached")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(3000)
        save(page.screenshot(clip={"x": 0, "y": 0, "width": 1400, "height": 850}), DOCS / "board.png")


def picture_of_page(outputs: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, chromium(1400) as page:
        path = Path(folder, "page.html")
        subprocess.run(aiexp("compare", str(outputs), "--html", str(path)), check=True)
        page.goto(path.as_uri())
        page.wait_for_selector("#intervals .main-svg", state="attached")
        page.evaluate("byId('table').style.maxHeight = '260px'")
        page.wait_for_timeout(500)
        save(page.screenshot(clip={"x": 0, "y": 0, "width": 1400, "height": 850}), DOCS / "compare.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, help="a folder with the sweep; it is made if left out")
    parser.add_argument("--seconds", type=int, default=120, help="that the runs under way have been at work")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outputs = arguments.runs or Path(folder)
        where = [*SMALL, f"outputs={outputs}"]
        if arguments.runs is None:
            subprocess.run(aiexp("run", *SWEEP, *where), check=True)
        picture_of_page(outputs)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        first, second = (aiexp("run", *where, *UNDER_WAY, f"seed={seed}") for seed in (0, 1))
        with started(first, env=environment), started(second, env=environment):
            time.sleep(arguments.seconds)
            picture_of_board(outputs)


if __name__ == "__main__":
    main()
