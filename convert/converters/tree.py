"""Tree: a fitted tree of any family as plain arrays. Readers of estimators return it; writers of graphs take it."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

LEAF = -1
"""The child of a node that has none, as in scikit-learn's own trees."""


@attrs.frozen(eq=False)
class Tree:
    """A fitted tree. Every array has one element per node; node 0 is the root.

    A branch tests the value ``x`` of one column: ``x <= threshold``, or ``x == threshold`` if `equality` is set. NaN
    goes to the child that the tree learned for it.

    Attributes:
        column: The column of the input that a branch tests.
        threshold: float64, the value it tests against, in the column's unit.
        equality: Whether it tests for equality.
        yes: The child if the test is true; ``LEAF`` in a leaf.
        no: The child if it is false; ``LEAF`` in a leaf.
        missing_yes: Whether NaN goes to `yes`.
        value: The leaf values, float64 of shape ``(nodes, outputs)``.
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
        """Whether each node is a leaf."""
        leaf: npt.NDArray[np.bool_] = self.yes == LEAF
        return leaf

    def step(self, branch: npt.NDArray[np.int64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Returns the child that each branch sends its number to.

        Args:
            branch: n nodes that are no leaves.
            x: n numbers.
        """
        is_true = np.where(self.equality[branch], x == self.threshold[branch], x <= self.threshold[branch])
        return np.where(np.where(np.isnan(x), self.missing_yes[branch], is_true), self.yes[branch], self.no[branch])


def read_tree(fitted: Any) -> Tree:
    """Reads scikit-learn's ``tree_``. Its branches test ``float32(x) <= threshold``, and each has a child for NaN.

    The values are those of the first target; `convert.converters.forest` refuses estimators of several.

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
