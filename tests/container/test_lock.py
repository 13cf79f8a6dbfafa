"""The lock files, held against what pyproject.toml asks for and what the package index has."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.container_process import JUST
from tests.support.locks import LOCKS, PEER_LOCK, SERVER_LOCK, pythons_of_ci
from tests.support.newer_releases import write_newer_releases
from tests.support.server_process import ROOT

UV = Path(sys.executable).with_name("uv")
RESOLVED = (*LOCKS, PEER_LOCK)
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
BASE = re.compile(r"^ARG BASE=\S+/python:(\d\.\d+)-slim-trixie$", re.MULTILINE)


def requirements(lock: Path) -> list[str]:
    """Return the lines of a lock file without their hashes."""
    return [line for line in lock.read_text().splitlines() if not line.startswith(" ")]


def hashes(lock: Path) -> set[str]:
    return set(re.findall(r"sha256:[0-9a-f]{64}", lock.read_text()))


def test_the_locks_are_what_pyproject_resolves_to(tmp_path: Path) -> None:
    """Resolves again with what is locked as the preference: a lock that is in step stays as it is on any day.

    Later releases change nothing; files that are added to a locked release add hashes alone.
    """
    inputs = ("justfile", "pyproject.toml", "tests/bench/peer/requirements.in")
    for name in (*inputs, *RESOLVED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / "newer").mkdir()
    write_newer_releases(tmp_path / "newer")
    subprocess.run(
        [JUST, "--working-directory", tmp_path, "--justfile", tmp_path / "justfile", "lock"],
        env={**os.environ, "UV_FIND_LINKS": str(tmp_path / "newer")},
        check=True,
    )
    for name in RESOLVED:
        assert requirements(tmp_path / name) == requirements(ROOT / name)
        assert hashes(ROOT / name) <= hashes(tmp_path / name)


def check_wheels(lock: str, platform: str, version: str, folder: Path) -> None:
    """Fail unless every package of a lock has a wheel for a platform and a Python."""
    flags = ["--only-binary=:all:", "--require-hashes", f"--python-platform={platform}", f"--python-version={version}"]
    command = [str(UV), "pip", "install", "--quiet", "--dry-run", *flags]
    subprocess.run([*command, "--target", folder, "--requirement", ROOT / lock], check=True)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_package_of_the_server_has_a_wheel_for_the_images_python(platform: str, tmp_path: Path) -> None:
    version = BASE.search((ROOT / "Containerfile").read_text())
    assert version is not None
    check_wheels(SERVER_LOCK, platform, version[1], tmp_path)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("version", pythons_of_ci())
def test_every_package_has_a_wheel_for_each_python_that_is_tested(
    lock: str, platform: str, version: str, tmp_path: Path
) -> None:
    check_wheels(lock, platform, version, tmp_path)
