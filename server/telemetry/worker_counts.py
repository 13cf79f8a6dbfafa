"""What each worker has counted -> a file of its own, which whoever is asked reads; knows nothing of what is in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen
class Exchange:
    """The folder that the workers of one server have in common.

    Attributes:
        folder: Where; it lives as long as the server. A worker that has died leaves its last file there, since what it
            answered was answered.
        supervisor_pid: The process that watches over the workers.
    """

    folder: Path
    supervisor_pid: int

    def is_orphaned(self) -> bool:
        """Says whether nobody watches over this worker any more."""
        return os.getppid() != self.supervisor_pid

    def publish(self, counted: bytes) -> None:
        """Replaces what this process has said before."""
        own = self.folder / str(os.getpid())
        draft = own.with_suffix(".draft")
        draft.write_bytes(counted)
        draft.replace(own)

    def read_others(self) -> Iterator[tuple[bytes, bool]]:
        """Gives what each other process said last, and whether it is still alive."""
        for path in self.folder.iterdir():
            if path.suffix or path.name == str(os.getpid()):
                continue
            yield path.read_bytes(), Path("/proc", path.name).exists()
