"""Decision trees and forests -> nodes: the leaves' float64 values, averaged as scikit-learn averages them.

``sklearn.tree`` casts a row to float32 and compares it with float64 thresholds (``sklearn/tree/_tree.pyx``,
``_apply_dense``). ``sklearn.ensemble._forest`` starts at zero, adds the trees' float64 answers in their order, divides
by their number and takes the first class of the greatest quotient. Its order is certain with one job only; with more,
what threads finish first is added first, and the last bit of a quotient may differ from one call to the next.
"""

from typing import Any

import numpy as np

from convert.converters.graph import Graph
from convert.converters.tree import Tree, read_tree
from convert.errors import ConvertError


def read_trees(estimator: Any) -> tuple[Tree, ...]:
    """Gives the trees of a fitted decision tree or forest.

    Raises:
        ConvertError: If it answers several targets at once.
    """
    if estimator.n_outputs_ != 1:
        name, count = type(estimator).__name__, estimator.n_outputs_
        raise ConvertError(f"{name} answers {count} targets at once: expected one")
    return tuple(read_tree(each.tree_) for each in getattr(estimator, "estimators_", (estimator,)))


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Draws a classifier: its label and the probabilities of all classes."""
    graph = Graph(scope, operator, container)
    probabilities = _average(graph)
    graph.give_labels(probabilities)
    graph.give_numbers(probabilities)


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Draws a regressor: one number a row."""
    graph = Graph(scope, operator, container)
    graph.give_numbers(_average(graph))


def _average(graph: Graph) -> str:
    trees = read_trees(graph.operator.raw_operator)
    total = graph.add_up(graph.ask_leaves(trees, np.float32))
    return graph.add("Div", total, graph.constant(np.array(float(len(trees)))))
