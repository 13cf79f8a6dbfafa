"""Bytes -> files that are on the disk, not only in its cache; knows nothing of what is written."""

import os
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Writes a new file and waits until it is on the disk; its folder's entry is `sync_folder`'s.

    Raises:
        FileExistsError: If there is a file of this name already.
    """
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the folder's own entries are on the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
