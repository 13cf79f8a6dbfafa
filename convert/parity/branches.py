"""Fitted estimator of trees -> the branches at which its answer turns; knows nothing of ONNX."""

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
    """Branches of an estimator's trees that known rows come by; every array runs over them.

    Attributes:
        visitor: The position of the first known row that comes by.
        parted: That of the first one that leaves it by the other way; -1 where none does.
        column: Which column of the trees' input it asks.
        threshold: float64, what it asks with.
        equality: Whether it asks for equality.
        precision: In which the trees compare.
    """

    visitor: npt.NDArray[np.int64]
    parted: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    equality: npt.NDArray[np.bool_]
    precision: Precision

    def at(self, places: npt.NDArray[np.intp]) -> "Branches":
        """Gives some of them."""
        return Branches(
            visitor=self.visitor[places],
            parted=self.parted[places],
            column=self.column[places],
            threshold=self.threshold[places],
            equality=self.equality[places],
            precision=self.precision,
        )

    def ask(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Asks each branch of a row of its own: shape ``(branches, columns)``."""
        asked = values[np.arange(len(self.column)), self.column]
        with np.errstate(over="ignore"):  # what is beyond the precision is infinite there
            cast: npt.NDArray[np.floating[Any]] = asked.astype(self.precision)
        return np.where(self.equality, cast == self.threshold, cast <= self.threshold)


def visited_branches(estimator: Any, known: npt.NDArray[np.float64]) -> Branches:
    """Gives the branches that known rows come by: a visitor with that column changed asks the branch all the same.

    Args:
        estimator: A fitted estimator; one that has no trees of its own has no branches.
        known: Shape ``(n, columns)``, the trees' own input; best all rows that it was fitted on.

    Raises:
        ConvertError: If the estimator's trees cannot be converted either.
    """
    trees, precision = _read_trees(estimator)
    none = np.empty(0, np.int64)
    found = [(none, none, none, np.empty(0), np.empty(0, np.bool_)), *(_visit(tree, known) for tree in trees)]
    visitor, parted, column, threshold, equality = map(np.concatenate, zip(*found, strict=True))
    return Branches(visitor, parted, column, threshold, equality, precision)


def around(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gives each threshold with its neighbours in float64 and in float32: shape ``(n, 6)``."""
    both = (thresholds, thresholds.astype(np.float32))
    # No further than a request may go.
    ways = (-MAX_FP32, MAX_FP32)
    return np.column_stack([*both, *(np.nextafter(each, way) for each in both for way in ways)])


def _visit(tree: Tree, known: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], ...]:
    """Gives a tree's branches: visitors, those parted from them, columns, thresholds, and which ask for equality."""
    visitor = _first_visitors(tree, known)
    # A threshold is infinite where a branch parts what is missing from all else.
    at = np.flatnonzero(~tree.is_leaf & (visitor >= 0) & np.isfinite(tree.threshold))
    yes, no = visitor[tree.yes[at]], visitor[tree.no[at]]
    # The branch's first visitor is the first of one of them.
    parted = np.where(np.minimum(yes, no) < 0, -1, np.maximum(yes, no))
    return visitor[at], parted, tree.column[at], tree.threshold[at], tree.equality[at]


def _first_visitors(tree: Tree, known: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Gives for each node the first row that comes by it, or -1."""
    visitor = np.full(len(tree.column), -1)
    row, node = np.arange(len(known)), np.zeros(len(known), dtype=np.int64)
    while len(row):
        visitor[node[::-1]] = row[::-1]
        on = ~tree.is_leaf[node]
        row, node = row[on], node[on]
        node = tree.step(node, known[row, tree.column[node]])
    return visitor


def _read_trees(estimator: Any) -> tuple[tuple[Tree, ...], Precision]:
    """Gives an estimator's trees, and in which precision they compare."""
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
