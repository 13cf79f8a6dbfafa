"""Branches that ask of what was made of features -> known rows moved to where these turn, a last bit to either side.

Behind a scaler or a polynomial a threshold is no value of a feature. But two known rows part at the branch, and
somewhere on the straight way from one to the other it turns. Where, is found by halving the way. If what the trees are
given is linear in the features, each row of the way comes by the branch as both ends do: what comes by it is a box.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.branches import Branches
from convert.parity.model_inputs import ModelInput
from server.contract.signature import Feature

HALVINGS = 54
"""As many bits as a float64 has, and one."""
ROWS_AT_ONCE = 1000
"""How many rows are prepared at a time: a polynomial of many features has thousands of columns."""


def cross(given: ModelInput, branches: Branches, known: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    """Gives, for each branch that turns on the way, the last row before and the first one after.

    Numbers alone are changed; where the end of a way lacks one, or has another category, the beginning's stays.

    Args:
        given: What the trees are given.
        branches: Branches of these trees.
        known: The rows that came by.
        features: What training saw of each column.
    """
    parted = np.flatnonzero(branches.parted >= 0)
    parts = [
        _cross(given, branches.at(parted[start : start + ROWS_AT_ONCE]), known, features)
        for start in range(0, len(parted), ROWS_AT_ONCE)
    ]
    return pd.concat([known.iloc[:0], *parts], ignore_index=True).drop_duplicates()


def _cross(given: ModelInput, branches: Branches, known: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    way = _Way(known.iloc[branches.visitor], known.iloc[branches.parted], features)
    begins, ends = (branches.ask(given.prepare(way.at(share))) for share in (0.0, 1.0))
    turning = branches.at(np.flatnonzero(begins != ends))
    way, begins = _Way(known.iloc[turning.visitor], known.iloc[turning.parted], features), begins[begins != ends]
    low, high = np.zeros(len(begins)), np.ones(len(begins))
    for _ in range(HALVINGS if len(begins) else 0):
        middle = (low + high) / 2
        still = turning.ask(given.prepare(way.at(middle))) == begins
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    crossed: pd.DataFrame = pd.concat([way.at(low), way.at(high)], ignore_index=True)
    return crossed


class _Way:
    """The straight ways from n rows to n others."""

    def __init__(self, begin: pd.DataFrame, end: pd.DataFrame, features: Sequence[Feature]) -> None:
        self._begin = begin.reset_index(drop=True)
        self._names = [feature.name for feature in features if feature.type != "category"]
        self._is_whole = np.array([feature.type != "number" for feature in features if feature.type != "category"])
        self._from = self._begin[self._names].to_numpy(np.float64)
        by = end[self._names].to_numpy(np.float64) - self._from
        self._by = np.where(np.isnan(by), 0.0, by)

    def at(self, shares: npt.NDArray[np.float64] | float) -> pd.DataFrame:
        """Gives the rows at these shares of their ways, 0 to 1."""
        values = self._from + np.reshape(shares, (-1, 1)) * self._by
        rows = self._begin.copy()
        for name, column in zip(self._names, np.where(self._is_whole, np.rint(values), values).T, strict=True):
            rows[name] = column
        return rows
