"""Who may write where: the name of what is not published yet, and a lock on a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGING = ".staging"
"""What is in a folder of this name is nobody's once its folder's lock is free; no model or version is called so."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder, making it where it is missing; whoever else asks for it waits. It ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
