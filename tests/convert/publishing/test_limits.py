"""The limits of gates come from flags and pyproject.toml; an invalid one is refused with its place."""

from pathlib import Path

import pytest

from convert.errors import ConvertError
from convert.publishing.limits import NAMES, GateLimits, read_limits

NO_FLAGS = dict.fromkeys(NAMES)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


@pytest.mark.parametrize("content", [None, "", "tool = 1", "[tool.ruff]\ncorolla = 3", "[tool.corolla]"])
def test_a_project_without_limits_has_those_of_corolla(project: Path, content: str | None) -> None:
    if content is not None:
        project.write_text(content)
    assert read_limits(project, NO_FLAGS) == GateLimits(
        tolerance=0.01, least_class_score=None, largest_bytes=None, largest_row_us=None
    )


def test_a_flag_goes_before_what_the_file_says_and_no_other(project: Path) -> None:
    project.write_text("[tool.corolla]\ntolerance = 0.5\nleast_class_score = 0.8\nlargest_bytes = 1000\n")
    assert read_limits(project, NO_FLAGS) == GateLimits(0.5, 0.8, 1000)
    flags = NO_FLAGS | {"tolerance": 0.0, "largest_row_us": 50.0}
    assert read_limits(project, flags) == GateLimits(0.0, 0.8, 1000, 50.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            "[tool.corolla]\ntolerence = 1",
            "[tool.corolla] has 'tolerence': expected tolerance, least_class_score, largest_bytes, largest_row_us",
        ),
        ("[tool.corolla]\ntolerance = '1'", "[tool.corolla] tolerance: expected a number from 0, got '1'"),
        ("[tool.corolla]\ntolerance = true", "[tool.corolla] tolerance: expected a number from 0, got True"),
        ("[tool.corolla]\nlargest_bytes = -1", "[tool.corolla] largest_bytes: expected a number from 0, got -1"),
        ("[tool.corolla]\ntolerance = nan", "[tool.corolla] tolerance: expected a number from 0, got nan"),
        ("[tool.corolla.tolerance]", "[tool.corolla] tolerance: expected a number from 0, got {}"),
        ("[tool]\ncorolla = [1]", "[tool.corolla]: expected a table, got [1]"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_name_though_a_flag_goes_before_it(
    project: Path, content: str, reason: str
) -> None:
    project.write_text(content)
    with pytest.raises(ConvertError) as refusal:
        read_limits(project, NO_FLAGS | {"tolerance": 0.1})
    assert str(refusal.value) == f"{project}: {reason}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"[tool.corolla\n", "Expected ']'"), (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0")],
)
def test_a_file_that_is_no_toml_is_refused(project: Path, content: bytes, reason: str) -> None:
    project.write_bytes(content)
    with pytest.raises(ConvertError) as refusal:
        read_limits(project, NO_FLAGS)
    assert str(refusal.value).startswith(f"{project} cannot be read: {reason}")
