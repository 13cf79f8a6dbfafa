"""What a process may use is what its affinity and its cgroup leave it."""

import os
from pathlib import Path

import pytest

from server.host import Cores, read_cores


def cgroup_of(folder: Path, **files: str) -> Path:
    (folder / "cpu").mkdir()
    names = {"max": "cpu.max", "quota": "cpu/cpu.cfs_quota_us", "period": "cpu/cpu.cfs_period_us"}
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
