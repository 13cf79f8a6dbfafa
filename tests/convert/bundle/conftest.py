"""Fixtures: a bundle, and a host that refuses forgeries of it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convert.bundle.cli import main
from tests.convert.bundle.journey import Journey, tree
from tests.support.workshop import Workshop


@pytest.fixture
def journey(workshop: Workshop, tmp_path: Path) -> Journey:
    made = Journey(tmp_path)
    assert main(["keygen", str(tmp_path / "key")]) == 0
    shutil.copytree(workshop.version_dir, made.models_dir / "lily" / "1")
    assert made.write(workshop) == 0
    return made


@pytest.fixture
def refuses(journey: Journey, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[bytes], str]]:
    """Give a bundle's bytes to the host and return its refusal; the host must stay as it was."""
    before = tree(journey.models_dir)

    def refuse(content: bytes) -> str:
        journey.forge(content)
        capsys.readouterr()
        assert journey.load() == 1
        assert tree(journey.models_dir) == before
        return capsys.readouterr().err

    yield refuse
    assert tree(journey.models_dir) == before
