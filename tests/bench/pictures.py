"""Train, publish and serve Iris in a folder of its own -> docs/docs-page.png and docs/report.png; `just pictures`.

The screenshots are Chromium's, without a window. The report's timings are this machine's: let it be idle.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.server_process import ROOT, serving

BROWSER = "chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
)
WIDTH = 1000
PAGE_MS = 20_000
"""How much of its own time a page gets; Chromium skips what it would wait idly."""
TIMEOUT_S = 120


@attrs.frozen
class Picture:
    """One screenshot.

    Attributes:
        file: Its name in docs/.
        path: The page.
        window_height: How high the window is: the whole page, so that none is scrolled to its middle.
        height: How much of it is kept, from the top.
    """

    file: str
    path: str
    window_height: int
    height: int


PICTURES = (
    Picture("docs-page.png", "/docs#/iris/predict_iris", 4000, 1400),
    Picture("report.png", "/iris/report", 2880, 2880),
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="just pictures", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where the pictures go (default: docs)")
    options = parser.parse_args(arguments)
    browser = shutil.which(BROWSER)
    if browser is None:
        sys.exit(f"just pictures: expected the browser {BROWSER!r} on the PATH, found none")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models_dir = _publish(folder)
        with serving(models_dir) as server:
            for picture in PICTURES:
                taken = _take(browser, f"{server.url}{picture.path}", picture.window_height, folder)
                _keep(taken, picture.height, options.folder / picture.file)
                print(options.folder / picture.file)


def _publish(folder: Path) -> Path:
    """Runs `just train-export` with its files in a folder, and returns the model repository."""
    directories: Mapping[str, str] = {
        "COROLLA_DATA_DIR": str(folder / "data"),
        "COROLLA_MODELS_DIR": str(folder / "models"),
    }
    just = Path(sys.executable).with_name("just")
    subprocess.run([just, "train-export"], cwd=ROOT, env={**os.environ, **directories}, check=True)
    return folder / "models"


def _take(browser: str, url: str, height: int, folder: Path) -> Path:
    """Takes a screenshot of a page, and returns its file."""
    taken = folder / "screenshot.png"
    command = [
        browser,
        *FLAGS,
        f"--user-data-dir={tempfile.mkdtemp(dir=folder)}",
        f"--window-size={WIDTH},{height}",
        f"--virtual-time-budget={PAGE_MS}",
        f"--screenshot={taken}",
        url,
    ]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    if ended.returncode or not taken.exists():
        sys.exit(f"{browser} took no screenshot of {url}, exit code {ended.returncode}:\n{ended.stderr}")
    return taken


def _keep(taken: Path, height: int, file: Path) -> None:
    """Writes the top of a screenshot in 256 colours, each within 16 of 255 of its own: a third of the bytes."""
    with Image.open(taken) as image:
        top = image.convert("RGB").crop((0, 0, WIDTH, height))
    top.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
