"""Probes for branches on derived columns, such as those behind a scaler or a polynomial: decision-boundary bisection.

The threshold of such a branch is not a value of a feature. But two known rows take different branches, so somewhere on
the straight line between them the decision changes. The line is bisected until its two rows differ by one ulp.

If the trees' input is linear in the features, every row of the line visits the branch, as both of its ends do: the
rows that visit a branch form a box.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.branches import Branches
from convert.parity.model_inputs import ModelInput
from server.contract.signature import Feature

BISECTIONS = 54
"""One more than the significant bits of a float64."""
LINES_AT_ONCE = 1000
"""Number of lines bisected at a time: a polynomial of many features has thousands of columns."""


def bisect_branches(
    model_input: ModelInput,
    branches: Branches,
    known: pd.DataFrame,
    features: Sequence[Feature],
    lines_at_once: int = LINES_AT_ONCE,
) -> pd.DataFrame:
    """Returns two rows for each branch whose decision changes: the last row before the change and the first after it.

    Only numbers change along a line. A value stays as it is at the start if it is a category, or if the end of the
    line has none.

    Args:
        model_input: The trees' input.
        branches: Branches of these trees.
        known: The rows that visit the branches.
        features: The description of each column.
        lines_at_once: How many lines are bisected at a time.
    """
    with_opposite = np.flatnonzero(branches.opposite >= 0)
    parts = [
        _bisect(model_input, branches.select(with_opposite[start : start + lines_at_once]), known, features)
        for start in range(0, len(with_opposite), lines_at_once)
    ]
    return pd.concat([known.iloc[:0], *parts], ignore_index=True).drop_duplicates()


def _bisect(
    model_input: ModelInput, branches: Branches, known: pd.DataFrame, features: Sequence[Feature]
) -> pd.DataFrame:
    lines = _Lines(known.iloc[branches.visitor], known.iloc[branches.opposite], features)
    at_start, at_end = (branches.evaluate(model_input.prepare(lines.at(share))) for share in (0.0, 1.0))
    changing = branches.select(np.flatnonzero(at_start != at_end))
    lines = _Lines(known.iloc[changing.visitor], known.iloc[changing.opposite], features)
    at_start = at_start[at_start != at_end]
    low, high = np.zeros(len(at_start)), np.ones(len(at_start))
    for _ in range(BISECTIONS if len(at_start) else 0):
        middle = (low + high) / 2
        is_unchanged = changing.evaluate(model_input.prepare(lines.at(middle))) == at_start
        low, high = np.where(is_unchanged, middle, low), np.where(is_unchanged, high, middle)
    rows: pd.DataFrame = pd.concat([lines.at(low), lines.at(high)], ignore_index=True)
    return rows


class _Lines:
    """The straight lines from n rows to n others."""

    def __init__(self, start: pd.DataFrame, end: pd.DataFrame, features: Sequence[Feature]) -> None:
        self._start = start.reset_index(drop=True)
        self._names = [feature.name for feature in features if feature.type != "category"]
        self._is_whole = np.array([feature.type != "number" for feature in features if feature.type != "category"])
        self._origin = self._start[self._names].to_numpy(np.float64)
        direction = end[self._names].to_numpy(np.float64) - self._origin
        self._direction = np.where(np.isnan(direction), 0.0, direction)

    def at(self, shares: npt.NDArray[np.float64] | float) -> pd.DataFrame:
        """Returns one row of each line, at its share of the way from start (0) to end (1)."""
        values = self._origin + np.reshape(shares, (-1, 1)) * self._direction
        rows = self._start.copy()
        for name, column in zip(self._names, np.where(self._is_whole, np.rint(values), values).T, strict=True):
            rows[name] = column
        return rows
