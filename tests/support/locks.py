"""Reads the lock files, and the versions of Python that they are for."""

import re
from pathlib import Path

import attrs

from tests.support.server_process import ROOT

SERVER_LOCK, MAIN_LOCK, WHOLE_LOCK = "server/requirements.lock", "requirements.lock", "tests/requirements.lock"
LOCKS = (SERVER_LOCK, MAIN_LOCK, WHOLE_LOCK)
PEER_LOCK = "tests/bench/peer/requirements.lock"
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?==(\S+)", re.MULTILINE)


@attrs.frozen
class Locked:
    """A locked package: the versions that the lock allows (one for each marker), and the extras that it asks for."""

    versions: frozenset[str]
    extras: frozenset[str]


def read_lock(lock: str | Path) -> dict[str, Locked]:
    """Read a lock file, named from the root of the repository.

    Returns:
        Every locked package, by its normalized name.
    """
    found: dict[str, Locked] = {}
    for name, extras, version in REQUIREMENT.findall((ROOT / lock).read_text()):
        key, extras_here = normalize(name), set(filter(None, extras.split(",")))
        before = found.get(key, Locked(frozenset(), frozenset()))
        found[key] = Locked(before.versions | {version}, before.extras | extras_here)
    return found


def normalize(name: str) -> str:
    """Return a package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pythons_of_ci() -> list[str]:
    """Return the versions of Python that the GitHub workflow runs, oldest first."""
    listed = re.search(r"^ +python: \[(.*)\]$", (ROOT / ".github/workflows/ci.yml").read_text(), re.MULTILINE)
    return re.findall(r"\d\.\d+", listed[1]) if listed else []
