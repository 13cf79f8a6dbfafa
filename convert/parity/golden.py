"""Chooses golden rows, which every host replays before it serves: the hardest rows on which both sides agree."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from convert.parity.comparison import Comparison
from convert.parity.requests import to_fields
from server.contract.manifest import GoldenRow

ROWS_PER_LABEL = 4
ROWS_OF_REGRESSOR = 12


def choose_golden_rows(compared: Comparison) -> tuple[GoldenRow, ...]:
    """Returns distinct rows that are hard to answer, known rows first.

    For a classifier these are, for each label, the rows with the smallest margin between the two largest
    probabilities. For a regressor they are the rows with the largest difference. Half of them are known rows; the
    others may be of any kind but extreme.
    """
    candidates = np.flatnonzero(compared.is_replayable & ~compared.probes.rows.duplicated().to_numpy())
    is_known = compared.probes.is_known
    chosen = sorted(_hardest(candidates, compared), key=lambda position: not is_known[position])
    return tuple(_golden(compared, position) for position in chosen)


def _hardest(candidates: npt.NDArray[np.intp], compared: Comparison) -> Iterator[int]:
    """Yields the hardest known rows of each label, and the hardest of all others."""
    expected, is_known = compared.expected, compared.probes.is_known
    if compared.signature.is_regressor:
        hardest = candidates[np.argsort(-compared.differences[candidates], kind="stable")]
        groups = [(hardest, ROWS_OF_REGRESSOR)]
    else:
        ranked = np.sort(expected.numbers[candidates], axis=1)
        hardest = candidates[np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")]
        labels = compared.signature.labels
        groups = [(hardest[expected.labels[hardest] == label], ROWS_PER_LABEL) for label in labels]
    for group, count in groups:
        known = group[is_known[group]][: count // 2]
        yield from known.tolist()
        yield from group[~np.isin(group, known)][: count - len(known)].tolist()


def _golden(compared: Comparison, position: int) -> GoldenRow:
    signature, answer = compared.signature, compared.expected.at(position)
    assert answer is not None  # noqa: S101  a replayable row has an answer
    fields = to_fields(compared.probes.rows.iloc[position].tolist(), signature.features)
    return GoldenRow(fields, answer.label, tuple(answer.probabilities), float(compared.scales[position]))
