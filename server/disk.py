"""Durable writes and folder locks: what is written is on the disk whole, or not there at all.

Writers stage a folder under ``STAGING``, sync it, and move it into place by one rename.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

STAGING = ".staging"
"""The name of a folder of unpublished files. It belongs to nobody once its parent's lock is free."""


def write_file(path: Path, content: bytes) -> None:
    """Write a new file and wait until its content is on the disk; `sync_folder` does so for the folder's entry.

    Raises:
        FileExistsError: If there is a file of this name already.
    """
    write_chunks(path, (content,))


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Do as `write_file`, with a content that comes in pieces."""
    with path.open("xb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the exclusive lock of a folder, which is made where it is missing; others wait for it.

    The kernel frees the lock however the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_locked(folder: Path) -> bool:
    """Return whether a living process holds a folder's lock; nobody holds a folder that is gone."""
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
