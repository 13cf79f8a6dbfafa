"""The lock files install what they name on any day, by the pip that comes with Python's venv."""

import importlib.metadata
import json
import re
import subprocess
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.locks import LOCKS, MAIN_LOCK, PEER_LOCK, REQUIREMENT, WHOLE_LOCK, normalize, read_lock
from tests.support.newer_releases import NEWER, write_newer_releases
from tests.support.server_process import ROOT

INSTALL_FLAGS = ("--quiet", "--no-compile", "--dry-run", "--ignore-installed", "--report", "-")


def asked_with_extras() -> Iterator[tuple[str, str, set[str]]]:
    """Finds every requirement of the form ``name[extra]`` in the metadata of the installed packages.

    Yields:
        The package that asks, the package that it asks for, and the extras.
    """
    locked = read_lock(WHOLE_LOCK)
    for distribution in importlib.metadata.distributions():
        name = normalize(distribution.name)
        for requirement in map(Requirement, distribution.requires or ()):
            # What an extra of the asking package brings counts where the lock takes that extra.
            if requirement.extras and any(
                requirement.marker is None or requirement.marker.evaluate({"extra": extra})
                for extra in ("", *(locked[name].extras if name in locked else ()))
            ):
                yield name, normalize(requirement.name), requirement.extras


@pytest.fixture(scope="session")
def newer_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newer")
    write_newer_releases(folder)
    return folder


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_keeps_the_extras_that_its_packages_ask_for(lock: str) -> None:
    """An older pip takes ``name[extra]`` for a package that the lock does not have, and then the newest of it."""
    locked = read_lock(lock)
    missing = [
        f"{asking} asks for {asked}[{','.join(sorted(wanted))}]"
        for asking, asked, wanted in asked_with_extras()
        if asking in locked and asked in locked and not wanted <= locked[asked].extras
    ]
    assert missing == []


def test_some_package_asks_for_another_with_an_extra() -> None:
    """Without one, the tests above and below would show nothing."""
    assert ("coverage", {"toml"}) in [(asked, extras) for _, asked, extras in asked_with_extras()]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_installs_beside_newer_releases(lock: str, newer_index: Path, tmp_path: Path) -> None:
    """By a new venv's own pip, as the README's commands and the image's build do."""
    venv.create(tmp_path / "venv", with_pip=True)
    pip = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "install", *INSTALL_FLAGS, "--require-hashes"]
    beside = ["--find-links", str(newer_index), "--requirement", str(ROOT / lock)]
    ended = subprocess.run([*pip, *beside], check=True, capture_output=True, text=True)
    report = json.loads(ended.stdout)["install"]
    versions = {normalize(item["metadata"]["name"]): item["metadata"]["version"] for item in report}
    assert NEWER not in versions.values()
    assert versions.keys() <= read_lock(lock).keys()
    assert {"litestar", "onnxruntime", "uvicorn"} <= versions.keys()


@pytest.mark.parametrize("lock", [*LOCKS, PEER_LOCK])
def test_a_lock_names_no_registry_and_carries_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    requirements = re.findall(r"^[a-z].*$", text, re.MULTILINE)
    assert requirements
    assert all(line.endswith("\\") for line in requirements), "every requirement goes on to its hashes"


def test_each_lock_is_a_part_of_the_next() -> None:
    servers, main_jobs, whole = (
        {(name, version) for name, _, version in REQUIREMENT.findall((ROOT / lock).read_text())} for lock in LOCKS
    )
    assert servers < main_jobs < whole


def test_the_first_command_installs_no_tool_of_the_tests() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    tools = {normalize(Requirement(requirement).name) for requirement in extras["dev"]}
    # The main job needs these two as well: litestar asks for the one, bundles for the other without its schemas.
    assert tools & read_lock(MAIN_LOCK).keys() == {"httpx", "cyclonedx-python-lib"}
