"""Durable, atomic writes (stage, fsync, rename) and folder locks.

Writers fill a folder under ``STAGING``, sync it, and publish it by one rename: it is there whole, or not at all.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

STAGING = ".staging"
"""The name of a folder for unpublished files. If no process holds the lock of its parent, its content is abandoned."""


def write_file(path: Path, content: bytes) -> None:
    """Write a new file, and wait until its content is on the disk; `sync_folder` syncs its entry in the folder.

    Raises:
        FileExistsError: If the file exists already.
    """
    write_chunks(path, (content,))


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file from chunks, as `write_file` does."""
    with path.open("xb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the exclusive lock of a folder; wait for it if another process holds it. A missing folder is made.

    The kernel releases the lock however the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_locked(folder: Path) -> bool:
    """Return True if a living process holds the lock of a folder; False if there is no such folder."""
    try:
        tried = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(tried, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(tried)
    return False
