"""Shares each worker's counters through one file per process, so that any worker can answer /metrics for all."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen
class WorkerCounts:
    """The counters of all workers of one server.

    Attributes:
        folder: Has the files; it lives as long as the server. The file of a worker that has died stays, since what it
            answered was answered.
        supervisor_pid: The process that supervises the workers.
    """

    folder: Path
    supervisor_pid: int

    def is_orphaned(self) -> bool:
        """Return whether the supervisor of this worker is gone."""
        return os.getppid() != self.supervisor_pid

    def publish(self, counted: bytes) -> None:
        """Replace the counters that this process published before."""
        own = self.folder / str(os.getpid())
        draft = own.with_suffix(".draft")
        draft.write_bytes(counted)
        draft.replace(own)

    def read_others(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the counters that each other process published last, and whether it is still alive."""
        for path in self.folder.iterdir():
            if path.suffix or path.name == str(os.getpid()):
                continue
            yield path.read_bytes(), Path("/proc", path.name).exists()
