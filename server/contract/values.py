"""The msgspec type that checks the values of a feature, and its description for error messages."""

from typing import Annotated, Any

import msgspec

from server.contract.signature import Feature
from server.contract.types import MAX_FP32, MAX_INTEGER, MAX_TEXT_CHARS

_TYPES: dict[str, tuple[Any, str, str]] = {
    "number": (
        Annotated[float, msgspec.Meta(ge=-MAX_FP32, le=MAX_FP32)],
        "a number",
        f" within ±{MAX_FP32:.7e}",
    ),
    "integer": (
        Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)],
        "a whole number",
        f" within ±{MAX_INTEGER}",
    ),
    "boolean": (bool, "true or false", ""),
    "category": (
        Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)],
        "text",
        f" of 1 to {MAX_TEXT_CHARS} characters",
    ),
}


def value_type(feature: Feature) -> Any:
    """Return the msgspec type of a feature's values."""
    kind = _TYPES[feature.type][0]
    return kind | None if feature.nullable else kind


def expected_value(feature: Feature, *, bounds: bool = False) -> str:
    """Describe the values that a feature takes.

    Args:
        feature: The feature.
        bounds: True to include the bounds of the type.
    """
    _, words, within = _TYPES[feature.type]
    return words + within * bounds + (" or null" if feature.nullable else "")
