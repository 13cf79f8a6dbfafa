"""The limits of a process are those of its affinity and of its cgroups, of either version."""

import os
from pathlib import Path

import pytest

from server.host.cgroup import (
    Cores,
    read_cores,
    read_memory_bytes,
    read_peak_bytes,
    read_resident_bytes,
    read_throttled_s,
    read_used_bytes,
)


def cgroup_of(folder: Path, **files: str) -> Path:
    (folder / "cpu").mkdir()
    (folder / "memory").mkdir()
    names = {"max": "cpu.max", "quota": "cpu/cpu.cfs_quota_us", "period": "cpu/cpu.cfs_period_us"}
    names |= {"memory_max": "memory.max", "memory_limit": "memory/memory.limit_in_bytes"}
    for file, text in files.items():
        (folder / names[file]).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"max": "max 100000\n"}, None),
        ({"max": "50000 100000\n"}, 0.5),
        ({"max": "250000 100000\n"}, 2.5),
        ({"quota": "-1\n", "period": "100000\n"}, None),
        ({"quota": "150000\n", "period": "100000\n"}, 1.5),
    ],
)
def test_a_quota_is_read_from_either_version_of_cgroups(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    cores = read_cores(cgroup_of(tmp_path, **files))
    assert cores == Cores(affinity=len(os.sched_getaffinity(0)), quota=quota)


@pytest.mark.parametrize(
    ("cores", "usable"),
    [(Cores(4, None), 4), (Cores(4, 2.5), 2), (Cores(4, 0.5), 1), (Cores(1, 8.0), 1), (Cores(4, 1.0), 1)],
)
def test_usable_are_whole_cores_and_one_at_least(cores: Cores, usable: int) -> None:
    assert cores.usable == usable


ALL_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("files", "memory_bytes"),
    [
        ({}, ALL_BYTES),
        ({"memory_max": "max\n"}, ALL_BYTES),
        ({"memory_max": "268435456\n"}, 268_435_456),
        ({"memory_limit": "9223372036854771712\n"}, ALL_BYTES),
        ({"memory_limit": "100663296\n"}, 100_663_296),
    ],
)
def test_a_memory_limit_is_read_from_either_version_of_cgroups(
    tmp_path: Path, files: dict[str, str], memory_bytes: int
) -> None:
    assert read_memory_bytes(cgroup_of(tmp_path, **files)) == memory_bytes


@pytest.mark.parametrize(
    ("files", "used", "peak"),
    [
        ({}, None, None),
        ({"memory.current": "500\n"}, 500, None),
        ({"memory.current": "500\n", "memory.peak": "700\n"}, 500, 700),
        ({"memory/memory.usage_in_bytes": "500\n", "memory/memory.max_usage_in_bytes": "700\n"}, 500, 700),
    ],
)
def test_a_cgroups_memory_and_its_peak_are_read_from_either_version(
    tmp_path: Path, files: dict[str, str], used: int | None, peak: int | None
) -> None:
    cgroup_of(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert (read_used_bytes(tmp_path), read_peak_bytes(tmp_path)) == (used, peak)


@pytest.mark.parametrize(
    ("files", "seconds"),
    [
        ({}, 0.0),
        ({"cpu.stat": "usage_usec 9\n"}, 0.0),
        ({"cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 250000\n"}, 0.25),
        ({"cpu/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 250000000\n"}, 0.25),
    ],
)
def test_throttling_is_read_from_either_version(tmp_path: Path, files: dict[str, str], seconds: float) -> None:
    cgroup_of(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert read_throttled_s(tmp_path) == seconds


SERVICE_V2 = "system.slice/corolla.service"
SERVICE_V1 = {"cpu": "cpu/system.slice/corolla.service", "memory": "memory/system.slice/corolla.service"}
OWN_V2 = f"0::/{SERVICE_V2}\n"
OWN_V1 = f"5:cpu,cpuacct:/{SERVICE_V2}\n4:memory:/{SERVICE_V2}\n1:name=systemd:/{SERVICE_V2}\n0::/\n"
CONTAINER = "0::/../libpod-1234\n"


@pytest.mark.parametrize(
    ("own", "files", "quota", "memory_bytes"),
    [
        (OWN_V2, {f"{SERVICE_V2}/cpu.max": "50000 100000", f"{SERVICE_V2}/memory.max": "1000"}, 0.5, 1000),
        (
            OWN_V2,
            {f"{SERVICE_V2}/cpu.max": "max 100000", "system.slice/cpu.max": "50000 100000"}
            | {f"{SERVICE_V2}/memory.max": "2000", "system.slice/memory.max": "1000"},
            0.5,
            1000,
        ),
        (
            OWN_V1,
            {f"{SERVICE_V1['cpu']}/cpu.cfs_quota_us": "50000", f"{SERVICE_V1['cpu']}/cpu.cfs_period_us": "100000"}
            | {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
            | {f"{SERVICE_V1['memory']}/memory.limit_in_bytes": "1000", "memory/memory.limit_in_bytes": "5000"},
            0.5,
            1000,
        ),
        (CONTAINER, {"cpu.max": "50000 100000", "memory.max": "1000"}, 0.5, 1000),
        ("", {"cpu.max": "50000 100000", "memory.max": "1000"}, 0.5, 1000),
    ],
    ids=["version 2", "a limit above it", "version 1", "a container's mount", "no file"],
)
def test_the_lowest_limit_of_the_own_cgroup_and_those_above_it_holds(
    tmp_path: Path, own: str, files: dict[str, str], quota: float, memory_bytes: int
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    assert read_cores(tmp_path / "tree", tmp_path / "own").quota == quota
    assert read_memory_bytes(tmp_path / "tree", tmp_path / "own") == memory_bytes


def test_the_rss_is_less_than_all_memory() -> None:
    assert 10**6 < read_resident_bytes() < ALL_BYTES
