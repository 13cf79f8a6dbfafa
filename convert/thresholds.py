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
from convert.converters.tree import Tree
from server.signature import MAX_FP32


@attrs.frozen(eq=False)
class Branches:
    """Branches of an estimator's trees that known rows come by; every array runs over them.

    Attributes:
        visitor: The position of the first known row that comes by.
        column: Which column of the trees' input it asks.
        threshold: float64, what it asks with.
    """

    visitor: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]


def visited_branches(estimator: Any, known: npt.NDArray[np.float64]) -> Branches:
    """Gives the branches that known rows come by: a visitor with that column changed asks the branch all the same.

    Args:
        estimator: A fitted estimator; one that has no trees of its own has no branches.
        known: Shape ``(n, columns)``, the trees' own input; best all rows that it was fitted on.

    Raises:
        ConvertError: If the estimator's trees cannot be converted either.
    """
    visitors, columns, thresholds = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for tree in _read_trees(estimator):
        visitor = _first_visitors(tree, known)
        # A threshold is infinite where a branch parts what is missing from all else.
        at = ~tree.is_leaf & (visitor >= 0) & np.isfinite(tree.threshold)
        visitors.append(visitor[at])
        columns.append(tree.column[at])
        thresholds.append(tree.threshold[at])
    return Branches(np.concatenate(visitors), np.concatenate(columns), np.concatenate(thresholds))


def around(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gives each threshold with its neighbours in float64 and in float32: shape ``(n, 6)``."""
    both = (thresholds, thresholds.astype(np.float32))
    # No further than a request may go.
    ways = (-MAX_FP32, MAX_FP32)
    return np.column_stack([*both, *(np.nextafter(each, way) for each in both for way in ways)])


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


def _read_trees(estimator: Any) -> tuple[Tree, ...]:
    match estimator:
        case GradientBoostingClassifier() | GradientBoostingRegressor():
            return gradient_boosting.read_boosted(estimator).trees
        case HistGradientBoostingClassifier() | HistGradientBoostingRegressor():
            return hist_gradient_boosting.read_boosted(estimator).trees
        case BaseDecisionTree() | BaseForest():
            return forest.read_trees(estimator)
        case _:
            return ()
