"""GateLimits: what a model must keep to before it is published, from flags and ``[tool.corolla]`` of pyproject.toml."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from convert.errors import ConvertError

SECTION = "[tool.corolla]"


@attrs.frozen
class GateLimits:
    """The limits of the gates; None sets no limit.

    Attributes:
        tolerance: By how much the score on the held-out rows may be lower than the served version's.
        least_class_score: The smallest recall of a class on the held-out rows (0 to 1); for a regressor, of R².
        largest_bytes: The largest compiled model, in bytes.
        largest_row_us: How long a batch of one row may take on this host, in microseconds.
    """

    tolerance: float = 0.01
    least_class_score: float | None = None
    largest_bytes: float | None = None
    largest_row_us: float | None = None


NAMES = tuple(field.name for field in attrs.fields(GateLimits))


def read_limits(project: Path, flags: Mapping[str, float | None]) -> GateLimits:
    """Read the limits of a project; a flag overrides the file.

    Args:
        project: The path of pyproject.toml, which may be missing.
        flags: The values of the command's flags, by the limits' names; None for one that was not given.

    Raises:
        ConvertError: If the file cannot be read, or a limit in it is unknown or not a number from 0.
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
    return GateLimits(**(section | given))
