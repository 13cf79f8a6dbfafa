"""A container's CPU time, memory and OOM kills, read from its cgroup outside of it, of version 1 or 2."""

import re
from pathlib import Path

import attrs

from tests.support.container_process import podman

MOUNT = Path("/sys/fs/cgroup")


@attrs.frozen
class Cgroup:
    """A container's cgroup.

    Attributes:
        cpu: The folder of its CPU time.
        memory: The folder of its memory; the same folder in version 2.
    """

    cpu: Path
    memory: Path

    def cpu_s(self) -> float:
        """Return the CPU time of all processes that ever ran in it, in seconds."""
        version_1 = self.cpu / "cpuacct.usage"
        if version_1.exists():
            return int(version_1.read_text()) / 1e9
        return _read_field(self.cpu / "cpu.stat", "usage_usec") / 1e6

    def peak_bytes(self) -> int:
        """Return the peak of its memory."""
        version_1 = self.memory / "memory.max_usage_in_bytes"
        return int((version_1 if version_1.exists() else self.memory / "memory.peak").read_text())

    def oom_kills(self) -> int:
        """Return how many of its processes the kernel killed for want of memory."""
        version_1 = self.memory / "memory.oom_control"
        return _read_field(version_1 if version_1.exists() else self.memory / "memory.events", "oom_kill")


def cgroup_of(container: str) -> Cgroup:
    """Find the cgroup of a running container."""
    pid = podman("inspect", "--format", "{{.State.Pid}}", container)
    lines = re.findall(r"^\d+:(.*):(.*)$", Path("/proc", pid, "cgroup").read_text(), re.MULTILINE)
    folders = {name: path for names, path in lines for name in names.split(",")}
    if "memory" in folders:
        return Cgroup(*(_below(MOUNT / name, folders[name]) for name in ("cpuacct", "memory")))
    both = _below(MOUNT, folders[""])
    return Cgroup(both, both)


def _below(mount: Path, path: str) -> Path:
    return mount / path.lstrip("/")


def _read_field(path: Path, name: str) -> int:
    match = re.search(rf"^{name} (\d+)$", path.read_text(), re.MULTILINE)
    return int(match[1]) if match else 0
