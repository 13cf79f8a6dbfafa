"""The process's host -> how many cores it may use, by affinity and cgroup quota; knows nothing of models.

A container sees all of its host's cores and may use a part of them; what it may use is in its cgroup
(https://docs.kernel.org/admin-guide/cgroup-v2.html, ``cpu.max``; version 1: ``cpu.cfs_quota_us``).
"""

import os
from pathlib import Path

import attrs

_UNLIMITED = "max"


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


def read_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> Cores:
    """Reads the limits of this process.

    Args:
        cgroup: Where the process's own cgroup is mounted, as in a container.
    """
    return Cores(affinity=len(os.sched_getaffinity(0)), quota=_read_v2(cgroup) or _read_v1(cgroup))


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


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
