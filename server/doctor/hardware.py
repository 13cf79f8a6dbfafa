"""/proc and the cgroup -> Host: the processor, its instruction sets, and the limits of this process."""

import os
import platform
from pathlib import Path

from server.doctor.report import Host
from server.host.cgroup import CGROUP, Cores, read_memory_bytes
from server.models.session import read_runtime

CPU_INFO = Path("/proc/cpuinfo")
FEATURES = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "neon"),
)
"""Instruction sets for which onnxruntime or numpy have kernels, by Linux's names; asimd is neon on 64 bits."""


def read_host(cores: Cores, cgroup: Path = CGROUP, cpu_info: Path = CPU_INFO) -> Host:
    """Describe this host."""
    cpu, features = read_cpu(cpu_info)
    memory_bytes = read_memory_bytes(cgroup)
    version, providers = read_runtime()
    return Host(
        machine=platform.machine(),
        cpu=cpu,
        cpu_features=features,
        cores=os.cpu_count() or cores.affinity,
        affinity=tuple(sorted(os.sched_getaffinity(0))),
        quota_cores=cores.quota,
        memory_bytes=memory_bytes,
        memory_limited=memory_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        onnxruntime=version,
        providers=providers,
    )


def read_cpu(cpu_info: Path) -> tuple[str, tuple[str, ...]]:
    """Return the first processor's name and which of `FEATURES` it has; arm64 has no name."""
    fields: dict[str, str] = {}
    for line in cpu_info.read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    has = set(f"{fields.get('flags', '')} {fields.get('Features', '')}".split())
    return fields.get("model name", "not named"), tuple(name for name in FEATURES if name in has)
