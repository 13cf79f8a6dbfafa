"""Formats a row of a table as the fields of a request."""

from collections.abc import Sequence

import numpy as np

from server.contract.signature import Feature, Value

Fields = dict[str, float | int | bool | str | None]


def to_fields(values: Sequence[Value], features: Sequence[Feature]) -> Fields:
    """Returns a row as a client sends it: by feature name, in the feature's own type, None for a missing value."""
    return {feature.name: _to_field(value, feature) for feature, value in zip(features, values, strict=True)}


def _to_field(value: Value, feature: Feature) -> float | int | bool | str | None:
    if isinstance(value, str):
        return value or None
    if np.isnan(value):
        return None
    if feature.type == "boolean":
        return bool(value)
    return int(value) if feature.type == "integer" else float(value)
