"""Finds the branches of a fitted estimator's trees: where its answers change."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble._forest import BaseForest
from sklearn.tree import BaseDecisionTree

from convert.converters import forest, gradient_boosting, hist_gradient_boosting
from convert.converters.ensemble import Precision
from convert.converters.tree import Tree
from server.contract.types import MAX_FP32


@attrs.frozen(eq=False)
class Branches:
    """Branches of an estimator's trees that known rows visit. Every array has one element per branch.

    Attributes:
        visitor: The position of the first known row that visits the branch.
        opposite: The position of the first one that leaves it the other way; -1 if none does.
        column: The column of the trees' input that the branch compares.
        threshold: float64, the value it compares with.
        equality: True if it tests for equality.
        precision: The type in which the trees compare.
    """

    visitor: npt.NDArray[np.int64]
    opposite: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    equality: npt.NDArray[np.bool_]
    precision: Precision

    def select(self, positions: npt.NDArray[np.intp]) -> "Branches":
        """Returns the branches at these positions."""
        return Branches(
            visitor=self.visitor[positions],
            opposite=self.opposite[positions],
            column=self.column[positions],
            threshold=self.threshold[positions],
            equality=self.equality[positions],
            precision=self.precision,
        )

    def evaluate(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Returns the decision of each branch on a row of its own.

        Args:
            values: The trees' input, shape ``(branches, columns)``.
        """
        compared = values[np.arange(len(self.column)), self.column]
        with np.errstate(over="ignore"):  # a value beyond the precision becomes infinite
            cast: npt.NDArray[np.floating[Any]] = compared.astype(self.precision)
        return np.where(self.equality, cast == self.threshold, cast <= self.threshold)


def visited_branches(estimator: Any, known: npt.NDArray[np.float64]) -> Branches:
    """Returns the branches that known rows visit.

    A visitor whose value in the branch's column is changed visits the branch all the same.

    Args:
        estimator: A fitted estimator; one that has no trees of its own has no branches.
        known: The trees' input, shape ``(n, columns)``; ideally all rows that the estimator was fitted on.

    Raises:
        ConvertError: If the estimator's trees cannot be converted either.
    """
    trees, precision = _read_trees(estimator)
    none = np.empty(0, np.int64)
    found = [(none, none, none, np.empty(0), np.empty(0, np.bool_)), *(_visit(tree, known) for tree in trees)]
    visitor, opposite, column, threshold, equality = map(np.concatenate, zip(*found, strict=True))
    return Branches(visitor, opposite, column, threshold, equality, precision)


def adjacent_floats(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns each threshold and the next floats on either side, in float64 and in float32: shape ``(n, 6)``."""
    both = (thresholds, thresholds.astype(np.float32))
    # A request may send no value beyond these.
    limits = (-MAX_FP32, MAX_FP32)
    return np.column_stack([*both, *(np.nextafter(each, limit) for each in both for limit in limits)])


def _visit(tree: Tree, known: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], ...]:
    """Returns the fields of a tree's branches: visitor, opposite, column, threshold and equality."""
    visitor = _first_visitors(tree, known)
    # An infinite threshold separates missing values from all others.
    at = np.flatnonzero(~tree.is_leaf & (visitor >= 0) & np.isfinite(tree.threshold))
    yes, no = visitor[tree.yes[at]], visitor[tree.no[at]]
    # The branch's first visitor is the first visitor of one of its two children.
    opposite = np.where(np.minimum(yes, no) < 0, -1, np.maximum(yes, no))
    return visitor[at], opposite, tree.column[at], tree.threshold[at], tree.equality[at]


def _first_visitors(tree: Tree, known: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Returns the position of the first row that visits each node, or -1."""
    visitor = np.full(len(tree.column), -1)
    row, node = np.arange(len(known)), np.zeros(len(known), dtype=np.int64)
    while len(row):
        visitor[node[::-1]] = row[::-1]
        is_branch = ~tree.is_leaf[node]
        row, node = row[is_branch], node[is_branch]
        node = tree.step(node, known[row, tree.column[node]])
    return visitor


def _read_trees(estimator: Any) -> tuple[tuple[Tree, ...], Precision]:
    """Returns an estimator's trees and the type in which they compare."""
    match estimator:
        case GradientBoostingClassifier() | GradientBoostingRegressor():
            boosted = gradient_boosting.read_boosted(estimator)
            return boosted.trees, boosted.precision
        case HistGradientBoostingClassifier() | HistGradientBoostingRegressor():
            boosted = hist_gradient_boosting.read_boosted(estimator)
            return boosted.trees, boosted.precision
        case BaseDecisionTree() | BaseForest():
            return forest.read_trees(estimator), np.float32
        case _:
            return (), np.float64
