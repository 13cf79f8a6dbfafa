"""One fitted tree as plain arrays, of whatever family: what readers of estimators give and writers of graphs take."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

LEAF = -1
"""What stands for a child where there is none, as in scikit-learn's own trees."""


@attrs.frozen(eq=False)
class Tree:
    """One fitted tree. Every array runs over its nodes; node 0 is the root.

    A branch asks of one column ``x``: ``x <= threshold``, or ``x == threshold`` where it asks for equality. NaN answers
    neither: it goes where the tree learned to send it.

    Attributes:
        column: Which column of the input a branch asks.
        threshold: float64, what it asks with, in the column's unit.
        equality: Whether it asks for equality.
        yes: The next node where the answer is yes; ``LEAF`` in a leaf.
        no: The next node where it is no; ``LEAF`` in a leaf.
        missing_yes: Whether NaN goes the way of yes.
        value: float64 of shape ``(nodes, outputs)``, what a leaf says.
    """

    column: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    equality: npt.NDArray[np.bool_]
    yes: npt.NDArray[np.int64]
    no: npt.NDArray[np.int64]
    missing_yes: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float64]

    @property
    def is_leaf(self) -> npt.NDArray[np.bool_]:
        """Says of each node whether it is a leaf."""
        leaf: npt.NDArray[np.bool_] = self.yes == LEAF
        return leaf

    def step(self, branch: npt.NDArray[np.int64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Gives the node that follows each of some branches, asked of as many numbers."""
        said = np.where(self.equality[branch], x == self.threshold[branch], x <= self.threshold[branch])
        return np.where(np.where(np.isnan(x), self.missing_yes[branch], said), self.yes[branch], self.no[branch])


def read_tree(fitted: Any) -> Tree:
    """Reads scikit-learn's ``tree_``: it asks ``float32(x) <= threshold``, and each node has a way for NaN.

    Its values are those of the first target; `convert.converters.forest` refuses estimators of several.

    Args:
        fitted: A ``sklearn.tree._tree.Tree``.
    """
    return Tree(
        column=fitted.feature.astype(np.int64),
        threshold=fitted.threshold.astype(np.float64),
        equality=np.zeros(fitted.node_count, dtype=np.bool_),
        yes=fitted.children_left.astype(np.int64),
        no=fitted.children_right.astype(np.int64),
        missing_yes=fitted.missing_go_to_left.astype(np.bool_),
        value=fitted.value[:, 0, :].astype(np.float64),
    )
