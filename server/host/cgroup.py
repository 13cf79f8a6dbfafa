"""Limits and usage of the process's cgroup: CPU quota, memory and throttling, of cgroup version 1 or 2.

A container or a service sees all of its host's cores and memory and may use a part of them. The limits are in its own
cgroup and in those above it (https://docs.kernel.org/admin-guide/cgroup-v2.html, ``cpu.max`` and ``memory.max``;
version 1: ``cpu.cfs_quota_us`` and ``memory.limit_in_bytes``).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import attrs

_UNLIMITED = "max"
CGROUP = Path("/sys/fs/cgroup")
"""Where cgroups are mounted: all of them, or in a container its own alone."""
OWN = Path("/proc/self/cgroup")
"""The file that names this process's own cgroups (cgroups(7))."""


@attrs.frozen
class Cores:
    """The cores that the process may use.

    Attributes:
        affinity: How many cores it may run on.
        quota: The CPU quota of its cgroup, in cores; None without one.
    """

    affinity: int
    quota: float | None

    @property
    def usable(self) -> int:
        """How many threads can run at the same time: whole cores, one at least."""
        return max(1, min(self.affinity, int(self.quota) if self.quota is not None else self.affinity))


def read_cores(cgroup: Path = CGROUP, own: Path = OWN) -> Cores:
    """Read how many cores this process may use."""
    quotas = [read(folder) for folder in _find_folders("cpu", cgroup, own) for read in (_read_v2, _read_v1)]
    least = min((quota for quota in quotas if quota is not None), default=None)
    return Cores(affinity=len(os.sched_getaffinity(0)), quota=least)


def read_memory_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Read the memory limit: the lowest one of its cgroups, or else all memory of the host."""
    limits = _read_numbers("memory", cgroup, own, "memory.max", "memory.limit_in_bytes")
    # Without a limit version 2 has the word "max", version 1 a number larger than all memory.
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits])


def read_used_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int | None:
    """Read the cgroup's memory, page cache included; None if the kernel has no such figure."""
    return next(_read_numbers("memory", cgroup, own, "memory.current", "memory.usage_in_bytes"), None)


def read_peak_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int | None:
    """Read the peak of the cgroup's memory; None if the kernel has no such figure (version 2 does since Linux 5.19)."""
    return next(_read_numbers("memory", cgroup, own, "memory.peak", "memory.max_usage_in_bytes"), None)


def read_throttled_s(cgroup: Path = CGROUP, own: Path = OWN) -> float:
    """Read for how long a cgroup was throttled by its CPU quota, summed over cores; 0 without a quota."""
    throttled_s = [0.0]
    for folder in _find_folders("cpu", cgroup, own):
        fields = dict(line.split(" ", 1) for line in _read(folder / "cpu.stat").splitlines())
        throttled_s += [int(fields.get("throttled_usec", 0)) / 1e6, int(fields.get("throttled_time", 0)) / 1e9]
    return max(throttled_s)


def read_resident_bytes() -> int:
    """Read the RSS of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _find_folders(controller: str, cgroup: Path, own: Path) -> Iterator[Path]:
    """Return the folders of this process's cgroup and of all above it, the nearest first; some may not exist.

    The path that the kernel names may lie outside of what a container has mounted. The mount itself is the process's
    cgroup then.
    """
    lines = (line.split(":", 2) for line in _read(own).splitlines())
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    # Version 2 has one tree and no name for it, version 1 a tree for each controller.
    for mount, path in ((cgroup, paths.get("", "")), (cgroup / controller, paths.get(controller, ""))):
        own_path = PurePosixPath(path.lstrip("/"))
        yield from (mount / part for part in (own_path, *own_path.parents))


def _read_numbers(controller: str, cgroup: Path, own: Path, *files: str) -> Iterator[int]:
    folders = _find_folders(controller, cgroup, own)
    texts = (_read(folder / file) for folder in folders for file in files)
    return (int(text) for text in texts if text.isdecimal())


def _read_v2(folder: Path) -> float | None:
    limit = _read(folder / "cpu.max").split()
    if not limit or limit[0] == _UNLIMITED:
        return None
    return int(limit[0]) / int(limit[1])


def _read_v1(folder: Path) -> float | None:
    quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not quota or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
