"""The process's host -> how many cores and how much memory it may use; knows nothing of models.

A container or a service sees all of its host's cores and memory and may use a part of them; what it may use is in its
cgroup and in those above it (https://docs.kernel.org/admin-guide/cgroup-v2.html, ``cpu.max`` and ``memory.max``;
version 1: ``cpu.cfs_quota_us`` and ``memory.limit_in_bytes``).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import attrs

_UNLIMITED = "max"
CGROUP = Path("/sys/fs/cgroup")
"""Where cgroups are mounted: all of them, or, in a container, its own alone."""
OWN = Path("/proc/self/cgroup")
"""Where the kernel says which of them are this process's own (cgroups(7))."""


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


def read_cores(cgroup: Path = CGROUP, own: Path = OWN) -> Cores:
    """Reads how many cores this process may use."""
    quotas = [read(folder) for folder in _find_folders("cpu", cgroup, own) for read in (_read_v2, _read_v1)]
    least = min((quota for quota in quotas if quota is not None), default=None)
    return Cores(affinity=len(os.sched_getaffinity(0)), quota=least)


def read_memory_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Reads how much memory this process and those beside it may use: the least limit of a cgroup, or else all."""
    limits = _read_numbers("memory", cgroup, own, "memory.max", "memory.limit_in_bytes")
    # Without a limit version 2 says so in a word, version 1 in a number beyond all memory.
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits])


def read_used_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int | None:
    """Reads how much memory the cgroup accounts for, cached files included, where the kernel tells."""
    return next(_read_numbers("memory", cgroup, own, "memory.current", "memory.usage_in_bytes"), None)


def read_peak_bytes(cgroup: Path = CGROUP, own: Path = OWN) -> int | None:
    """Reads the most that the cgroup has accounted for, where the kernel tells; version 2 does since Linux 5.19."""
    return next(_read_numbers("memory", cgroup, own, "memory.peak", "memory.max_usage_in_bytes"), None)


def read_throttled_s(cgroup: Path = CGROUP, own: Path = OWN) -> float:
    """Reads for how long a cgroup was halted because its quota was used up, summed over cores; 0 without a quota."""
    halted_s = [0.0]
    for folder in _find_folders("cpu", cgroup, own):
        fields = dict(line.split(" ", 1) for line in _read(folder / "cpu.stat").splitlines())
        halted_s += [int(fields.get("throttled_usec", 0)) / 1e6, int(fields.get("throttled_time", 0)) / 1e9]
    return max(halted_s)


def read_resident_bytes() -> int:
    """Reads how much memory this process has taken."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _find_folders(controller: str, cgroup: Path, own: Path) -> Iterator[Path]:
    """Gives the folders of this process's own cgroup and of all above it, the nearest first; some may not be there.

    What the kernel calls its own may lie outside of what a container has mounted; the mount itself is its own then.
    """
    lines = (line.split(":", 2) for line in _read(own).splitlines())
    places = {name: path for _, names, path in lines for name in names.split(",")}
    # Version 2 has one tree and no name for it, version 1 a tree for each controller.
    for mount, path in ((cgroup, places.get("", "")), (cgroup / controller, places.get(controller, ""))):
        place = PurePosixPath(path.lstrip("/"))
        yield from (mount / part for part in (place, *place.parents))


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
