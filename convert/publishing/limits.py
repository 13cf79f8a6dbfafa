"""Flags and ``[tool.corolla]`` of pyproject.toml -> Limits: what a model must keep to if it is to be published."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from convert.errors import ConvertError

SECTION = "[tool.corolla]"


@attrs.frozen
class Limits:
    """What a model must keep to; None is no limit.

    Attributes:
        tolerance: By how much its score on the held-out rows may be lower than that of the version now served.
        least_class_score: The least share of a class's held-out rows that it must answer right (0 to 1); of a
            regressor, the least R².
        largest_bytes: The largest compiled model.
        largest_row_us: How long a batch of one row may take, in microseconds, on this host.
    """

    tolerance: float = 0.01
    least_class_score: float | None = None
    largest_bytes: float | None = None
    largest_row_us: float | None = None


NAMES = tuple(field.name for field in attrs.fields(Limits))


def read_limits(project: Path, flags: Mapping[str, float | None]) -> Limits:
    """Reads the limits of a project; a flag goes before what the file says.

    Args:
        project: The pyproject.toml, which need not be there.
        flags: What the command was given, by the limits' names.

    Raises:
        ConvertError: If the file cannot be read, or has a limit that is none.
    """
    try:
        content = project.read_text(encoding="utf-8") if project.is_file() else ""
        tools = tomllib.loads(content).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConvertError(f"{project} cannot be read: {error}") from error
    section = tools.get("corolla", {}) if isinstance(tools, dict) else {}
    if not isinstance(section, dict):
        raise ConvertError(f"{project}: {SECTION}: expected a table, got {section!r}")
    for name, value in section.items():
        if name not in NAMES:
            raise ConvertError(f"{project}: {SECTION} has {name!r}: expected {', '.join(NAMES)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ConvertError(f"{project}: {SECTION} {name}: expected a number from 0, got {value!r}")
    given = {name: value for name, value in flags.items() if value is not None}
    return Limits(**(section | given))
