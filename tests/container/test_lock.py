"""The lock files, held against what pyproject.toml asks for and what the package index has."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.container_process import JUST
from tests.support.server_process import ROOT

UV = Path(sys.executable).with_name("uv")
LOCKS = ("tests/requirements.lock", "requirements.lock", "server/requirements.lock")


def test_the_locks_are_what_pyproject_resolves_to(tmp_path: Path) -> None:
    """Resolves again with what is locked as the preference: a lock that is in step stays as it is."""
    for name in ("justfile", "pyproject.toml", *LOCKS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    subprocess.run([JUST, "--working-directory", tmp_path, "--justfile", tmp_path / "justfile", "lock"], check=True)
    for name in LOCKS:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28"])
def test_every_package_of_the_server_has_a_wheel_for_the_images_python(platform: str, tmp_path: Path) -> None:
    version = re.search(r"^ARG BASE=\S+/python:(\d\.\d+)-slim$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert version is not None
    flags = [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--python-platform",
        platform,
        "--python-version",
        version[1],
    ]
    command = [UV, "pip", "install", "--dry-run", "--target", tmp_path, *flags, "--requirement", ROOT / LOCKS[-1]]
    subprocess.run(command, check=True)
