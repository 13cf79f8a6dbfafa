"""The process's host -> how many cores and how much memory it may use; knows nothing of models.

A container sees all of its host's cores and memory and may use a part of them; what it may use is in its cgroup
(https://docs.kernel.org/admin-guide/cgroup-v2.html, ``cpu.max`` and ``memory.max``; version 1: ``cpu.cfs_quota_us`` and
``memory.limit_in_bytes``).
"""

import os
from pathlib import Path

import attrs

_UNLIMITED = "max"
CGROUP = Path("/sys/fs/cgroup")
"""Where the process's own cgroup is mounted, as in a container."""


@attrs.frozen
class Cores:
    """What the process may use.

    Attributes:
        affinity: How many cores it may run on.
        quota: How many cores' worth of time its cgroup gives it, where that is limited.
    """

    affinity: int
    quota: float | None

    @property
    def usable(self) -> int:
        """Gives the threads that can run at the same time: whole cores, one at least."""
        return max(1, min(self.affinity, int(self.quota) if self.quota is not None else self.affinity))


def read_cores(cgroup: Path = CGROUP) -> Cores:
    """Reads how many cores this process may use."""
    return Cores(affinity=len(os.sched_getaffinity(0)), quota=_read_v2(cgroup) or _read_v1(cgroup))


def read_memory_bytes(cgroup: Path = CGROUP) -> int:
    """Reads how much memory this process and those beside it may use: its cgroup's limit, or else all there is."""
    limits = [_read(cgroup / "memory.max"), _read(cgroup / "memory" / "memory.limit_in_bytes")]
    # Without a limit version 2 says so in a word, version 1 in a number beyond all memory.
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *map(int, filter(str.isdecimal, limits))])


def read_used_bytes(cgroup: Path = CGROUP) -> int | None:
    """Reads how much memory the cgroup accounts for, cached files included, where the kernel tells."""
    return _read_first(cgroup / "memory.current", cgroup / "memory" / "memory.usage_in_bytes")


def read_peak_bytes(cgroup: Path = CGROUP) -> int | None:
    """Reads the most that the cgroup has accounted for, where the kernel tells; version 2 does since Linux 5.19."""
    return _read_first(cgroup / "memory.peak", cgroup / "memory" / "memory.max_usage_in_bytes")


def read_throttled_s(cgroup: Path = CGROUP) -> float:
    """Reads for how long the cgroup was halted because its quota was used up, summed over cores; 0 without a quota."""
    counters = ((cgroup / "cpu.stat", "throttled_usec", 1e6), (cgroup / "cpu" / "cpu.stat", "throttled_time", 1e9))
    for path, name, per_s in counters:
        fields = dict(line.split(" ", 1) for line in _read(path).splitlines())
        if name in fields:
            return int(fields[name]) / per_s
    return 0.0


def read_resident_bytes() -> int:
    """Reads how much memory this process has taken."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _read_v2(cgroup: Path) -> float | None:
    limit = _read(cgroup / "cpu.max").split()
    if not limit or limit[0] == _UNLIMITED:
        return None
    return int(limit[0]) / int(limit[1])


def _read_v1(cgroup: Path) -> float | None:
    quota, period = (_read(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not quota or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _read_first(*paths: Path) -> int | None:
    return next((int(text) for text in map(_read, paths) if text.isdecimal()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
