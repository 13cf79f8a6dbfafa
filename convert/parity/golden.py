"""Rows on which both sides agree -> golden rows: the hardest of each label; knows nothing of sessions."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from convert.parity.comparison import Comparison
from server.contract.manifest import GoldenRow
from server.contract.signature import Feature, Value

ROWS_PER_LABEL = 4
ROWS_OF_REGRESSOR = 12

Fields = dict[str, float | int | bool | str | None]


def choose_golden_rows(compared: Comparison) -> tuple[GoldenRow, ...]:
    """Picks, for each label, the distinct rows that the estimator is least sure of; of a regressor those most off.

    Half of them are known rows, which come first; the others may be of any kind but extreme.
    """
    candidates = np.flatnonzero(compared.is_replayable & ~compared.asked.rows.duplicated().to_numpy())
    is_known = compared.asked.is_known
    chosen = sorted(_hardest(candidates, compared), key=lambda place: not is_known[place])
    return tuple(_golden(compared, place) for place in chosen)


def _hardest(candidates: npt.NDArray[np.intp], compared: Comparison) -> Iterator[int]:
    """Gives the hardest known rows of each label, and the hardest of all others."""
    expected, is_known = compared.expected, compared.asked.is_known
    if compared.signature.is_regressor:
        by_doubt = candidates[np.argsort(-compared.differences[candidates], kind="stable")]
        groups = [(by_doubt, ROWS_OF_REGRESSOR)]
    else:
        ranked = np.sort(expected.numbers[candidates], axis=1)
        by_doubt = candidates[np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")]
        labels = compared.signature.labels
        groups = [(by_doubt[expected.labels[by_doubt] == label], ROWS_PER_LABEL) for label in labels]
    for group, count in groups:
        known = group[is_known[group]][: count // 2]
        yield from known.tolist()
        yield from group[~np.isin(group, known)][: count - len(known)].tolist()


def _golden(compared: Comparison, place: int) -> GoldenRow:
    signature, answer = compared.signature, compared.expected.at(place)
    assert answer is not None  # noqa: S101  what is replayable has an answer
    fields = to_fields(compared.asked.rows.iloc[place].tolist(), signature.features)
    return GoldenRow(fields, answer.label, tuple(answer.probabilities), float(compared.sizes[place]))


def to_fields(values: Sequence[Value], features: Sequence[Feature]) -> Fields:
    """Gives a row as a client would send it: by name, in the feature's own type, None where it is missing."""
    return {feature.name: _to_field(value, feature) for feature, value in zip(features, values, strict=True)}


def _to_field(value: Value, feature: Feature) -> float | int | bool | str | None:
    if isinstance(value, str):
        return value or None
    if np.isnan(value):
        return None
    if feature.type == "boolean":
        return bool(value)
    return int(value) if feature.type == "integer" else float(value)
