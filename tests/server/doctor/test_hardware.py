"""The processor and the limits are reported as the kernel has them."""

import os
from pathlib import Path

import onnxruntime
import pytest

from server.doctor.hardware import read_cpu, read_host
from server.host.cgroup import Cores

X86 = """processor\t: 0
model name\t: A Processor
flags\t\t: fpu avx2 sse4_2 made_up

processor\t: 1
model name\t: Another
flags\t\t: avx512f
"""
ARM = """processor\t: 0
Features\t: fp asimd crc32 asimddp
CPU part\t: 0xd0b
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(X86, ("A Processor", ("sse4_2", "avx2"))), (ARM, ("not named", ("asimd", "asimddp"))), ("", ("not named", ()))],
    ids=["x86", "arm", "silent"],
)
def test_the_first_processor_is_reported_with_the_features_that_matter(
    tmp_path: Path, text: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert read_cpu(tmp_path / "cpuinfo") == expected


@pytest.mark.parametrize(("limit", "limited"), [("268435456\n", True), ("max\n", False)])
def test_the_host_is_reported_with_its_limits(tmp_path: Path, limit: str, *, limited: bool) -> None:
    (tmp_path / "memory.max").write_text(limit)
    host = read_host(Cores(affinity=2, quota=0.5), tmp_path)
    assert (host.quota_cores, host.memory_limited) == (0.5, limited)
    assert (host.memory_bytes == 268_435_456) == limited
    assert set(host.affinity) == os.sched_getaffinity(0)
    assert (host.onnxruntime, "CPUExecutionProvider" in host.providers) == (onnxruntime.__version__, True)
