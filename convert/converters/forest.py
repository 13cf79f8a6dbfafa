"""Converts decision trees and forests: float64 leaf values, averaged as scikit-learn averages them.

``sklearn.tree`` casts a row to float32 and compares it with float64 thresholds (``sklearn/tree/_tree.pyx``,
``_apply_dense``). ``sklearn.ensemble._forest`` adds the trees' float64 answers to zero in order, divides by their
number and takes the first class of the largest quotient. The order is fixed with one job only. With more jobs the
thread that finishes first is added first, so the last bit of a quotient may differ from one call to the next.
"""

from typing import Any

import numpy as np
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from convert.converters.converter import classifier, regressor
from convert.converters.leaves import gather_leaves, mask_infinite, sum_trees, write_argmax_label, write_numbers
from convert.converters.nodes import Graph
from convert.converters.tree import Tree, read_tree
from convert.errors import ConvertError


def read_trees(estimator: Any) -> tuple[Tree, ...]:
    """Returns the trees of a fitted decision tree or forest.

    Raises:
        ConvertError: If it has several targets.
    """
    if estimator.n_outputs_ != 1:
        name, count = type(estimator).__name__, estimator.n_outputs_
        raise ConvertError(f"{name} answers {count} targets at once: expected one")
    return tuple(read_tree(each.tree_) for each in getattr(estimator, "estimators_", (estimator,)))


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the label and the probabilities of all classes."""
    graph = Graph(scope, container)
    probabilities = _average(graph, operator)
    write_argmax_label(graph, operator, probabilities)
    write_numbers(graph, operator, probabilities)


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes one number per row."""
    graph = Graph(scope, container)
    write_numbers(graph, operator, _average(graph, operator))


def _average(graph: Graph, operator: Operator) -> str:
    trees = read_trees(operator.raw_operator)
    total = sum_trees(graph, gather_leaves(graph, operator, trees, np.float32))
    return mask_infinite(graph, operator, graph.node("Div", total, graph.constant(float(len(trees)))))


CONVERTERS = {
    DecisionTreeClassifier: classifier(_convert_classifier),
    DecisionTreeRegressor: regressor(_convert_regressor),
    ExtraTreeClassifier: classifier(_convert_classifier),
    ExtraTreeRegressor: regressor(_convert_regressor),
    ExtraTreesClassifier: classifier(_convert_classifier),
    ExtraTreesRegressor: regressor(_convert_regressor),
    RandomForestClassifier: classifier(_convert_classifier),
    RandomForestRegressor: regressor(_convert_regressor),
}
