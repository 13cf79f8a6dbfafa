"""A run's folder <-> the lock by which its trainer is known to live; the kernel lets go of it however that one ends."""

import fcntl
import os
from pathlib import Path


def lock(folder: Path) -> int:
    """Takes the lock, and gives the descriptor that holds it until it is closed."""
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def is_locked(folder: Path) -> bool:
    """Says whether a living trainer holds the run's folder; a folder that is gone is held by nobody."""
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
