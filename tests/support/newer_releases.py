"""Writes an empty, newer wheel of every locked package into a folder for ``--find-links``: a package index of later.

As a script: ``python -m tests.support.newer_releases FOLDER``.
"""

import sys
import zipfile
from pathlib import Path

from tests.support.locks import WHOLE_LOCK, read_lock

NEWER = "9999.0"


def write_newer_releases(folder: Path) -> None:
    """Write a wheel of version ``NEWER`` for every package of the largest lock, which includes the others."""
    for name in read_lock(WHOLE_LOCK):
        _write_empty_wheel(folder, name)


def _write_empty_wheel(folder: Path, name: str) -> None:
    stem = f"{name.replace('-', '_')}-{NEWER}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        info = f"{stem}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


if __name__ == "__main__":
    write_newer_releases(Path(sys.argv[1]))
