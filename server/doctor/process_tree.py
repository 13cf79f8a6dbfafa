"""A process and its descendants -> their CPU time and memory, summed, as Linux has them in /proc; see proc(5)."""

import os
import re
from pathlib import Path

import attrs

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KIB = 1024


@attrs.frozen
class ProcessTree:
    """A process and its descendants; one that has ended counts nothing.

    Attributes:
        root_pid: The id of the first process.
        proc: Where proc is mounted.
    """

    root_pid: int
    proc: Path = Path("/proc")

    def cpu_s(self) -> float:
        """Return the CPU time so far, user and system, in seconds."""
        stats = (self._read(pid, "stat").rpartition(")")[2].split() for pid in self._pids())
        return sum(TICK_S * (int(stat[11]) + int(stat[12])) for stat in stats if stat)

    def rss_bytes(self) -> int:
        """Return the RSS; shared pages count for each process."""
        return self._sum("status", "VmRSS")

    def peak_rss_bytes(self) -> int:
        """Return the sum of each process's peak RSS."""
        return self._sum("status", "VmHWM")

    def pss_bytes(self) -> int | None:
        """Return the PSS, in which shared pages are divided; None if the kernel has no such figure."""
        return self._sum("smaps_rollup", "Pss") or None

    def _sum(self, file: str, name: str) -> int:
        found = (re.search(rf"^{name}:\s+(\d+) kB$", self._read(pid, file), re.MULTILINE) for pid in self._pids())
        return sum(int(match[1]) * KIB for match in found if match)

    def _pids(self) -> list[int]:
        pids = [self.root_pid]
        for pid in pids:  # grows as it is walked
            tasks = self.proc.glob(f"{pid}/task/*/children")
            pids += [int(child) for task in tasks for child in _read(task).split()]
        return pids

    def _read(self, pid: int, file: str) -> str:
        return _read(self.proc / str(pid) / file)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
