"""Support vectors -> kernel, decisions and votes, in double: onnxruntime's own operator computes in FP32.

Kernels are those of LIBSVM (Chang and Lin, "LIBSVM: a library for support vector machines", 2011, sections 2.1 and 4),
as scikit-learn's `_libsvm` calls it. Squared distances come from |x|^2 - 2 x.v + |v|^2 of vectors that are moved by
the mean of the support vectors first, so that large values with small differences lose no digits to each other.
"""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._registration import get_converter
from skl2onnx.common._topology import Operator, Scope
from sklearn.svm import SVC, SVR

from convert.converters.converter import classifier, regressor
from convert.converters.nodes import Graph, give_label, number_element, read_doubles

PAIR = 2
Array = npt.NDArray[np.float64]

_convert_with_probabilities = get_converter("SklearnSVC")
"""What skl2onnx brings; it is right where LIBSVM itself gives the probabilities, which scikit-learn 1.11 ends."""


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Gives the label that most pairs of classes vote for, and scores: `decision_function`, by class."""
    estimator = operator.raw_operator
    if len(estimator._probA):  # noqa: SLF001  its public name warns
        _convert_with_probabilities(scope, operator, container)
        return
    graph = Graph(scope, container)
    kernel = _apply_kernel(graph, operator)
    # the underscored ones are LIBSVM's own: above 0 the first class of a pair is meant
    of_pairs = graph.constant(_spread(estimator._dual_coef_, estimator.n_support_))
    decisions = graph.node("Add", graph.node("MatMul", kernel, of_pairs), graph.constant(estimator._intercept_))
    label, scores = operator.outputs[0].full_name, operator.outputs[1].full_name
    count = len(estimator.classes_)
    by_class = _score(graph, decisions, count)
    votes = by_class if estimator.break_ties and count > PAIR else _count_votes(graph, decisions, count)
    give_label(graph, graph.node("ArgMax", votes, axis=1, keepdims=0), estimator.classes_, label)
    graph.give(by_class, scores, number_element(operator))


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    sums = graph.node("MatMul", _apply_kernel(graph, operator), graph.constant(estimator.dual_coef_.T))
    value = graph.node("Add", sums, graph.constant(estimator.intercept_))
    graph.give(value, operator.outputs[0].full_name, number_element(operator))


def _apply_kernel(graph: Graph, operator: Operator) -> str:
    """Gives the kernel of each row with each support vector, shape ``(n, vectors)``."""
    estimator = operator.raw_operator
    values, vectors, gamma = read_doubles(graph, operator), estimator.support_vectors_, estimator._gamma  # noqa: SLF001
    if estimator.kernel == "rbf":
        return _apply_gaussian(graph, values, vectors, gamma)
    if estimator.kernel == "linear":
        return graph.node("MatMul", values, graph.constant(vectors.T))
    products = graph.node("MatMul", values, graph.constant(gamma * vectors.T))
    shifted = graph.node("Add", products, graph.constant(float(estimator.coef0)))
    if estimator.kernel == "poly":
        return graph.node("Pow", shifted, graph.constant(float(estimator.degree)))
    if estimator.kernel == "sigmoid":
        return graph.node("Tanh", shifted)
    raise NotImplementedError(f"expected a kernel rbf, linear, poly or sigmoid, got {estimator.kernel!r}")


def _apply_gaussian(graph: Graph, values: str, vectors: Array, gamma: float) -> str:
    """Computes exp(-gamma |x - v|^2)."""
    middle = vectors.mean(axis=0)
    moved = graph.node("Sub", values, graph.constant(middle))
    around = vectors - middle
    lengths = graph.node("ReduceSum", graph.node("Mul", moved, moved), graph.constant([1]))
    products = graph.node("MatMul", moved, graph.constant(2 * gamma * around.T))
    outer = graph.node(
        "Add", graph.node("Mul", lengths, graph.constant(-gamma)), graph.constant(-gamma * (around**2).sum(axis=1))
    )
    return graph.node("Exp", graph.node("Add", outer, products))


def _spread(coefficients: Array, vectors_of_class: npt.NDArray[Any]) -> Array:
    """Lays LIBSVM's coefficients out, one column a pair of classes, zero where a vector is of neither.

    Args:
        coefficients: Shape ``(classes - 1, vectors)``, vectors by class; a vector's rows are the other classes in
            their order.
        vectors_of_class: How many vectors each class has.

    Returns:
        Shape ``(vectors, pairs)``, pairs as (0, 1), (0, 2), ..., (1, 2), ...
    """
    ends = np.cumsum(vectors_of_class)
    slices = [slice(end - length, end) for end, length in zip(ends, vectors_of_class, strict=True)]
    pairs = list(itertools.combinations(range(len(slices)), PAIR))
    spread = np.zeros((coefficients.shape[1], len(pairs)))
    for column, (first, second) in enumerate(pairs):
        spread[slices[first], column] = coefficients[second - 1, slices[first]]
        spread[slices[second], column] = coefficients[first, slices[second]]
    return spread


def _sides(classes: int) -> Array:
    """Gives for each pair of classes 1 at its first, -1 at its second, shape ``(pairs, classes)``."""
    identity = np.eye(classes)
    return np.array(
        [identity[first] - identity[second] for first, second in itertools.combinations(range(classes), PAIR)]
    )


def _count_votes(graph: Graph, decisions: str, classes: int) -> str:
    """Counts for each class the pairs that it wins: its second class wins a pair where the decision is 0."""
    sides = _sides(classes)
    first_wins = graph.node("Cast", graph.node("Greater", decisions, graph.constant(0.0)), to=TensorProto.DOUBLE)
    return graph.node(
        "Add",
        graph.node("MatMul", first_wins, graph.constant(sides)),
        graph.constant((sides < 0).sum(axis=0, dtype=float)),
    )


def _score(graph: Graph, decisions: str, classes: int) -> str:
    """Gives each class's score: of two the decision and its negative, of more as `_ovr_decision_function` does.

    That adds to the votes, a decision of 0 counting for the first class, the sum s of the decisions for a class as
    s / (3 (|s| + 1)), which is less than a third of a vote (sklearn/utils/multiclass.py).
    """
    sides = _sides(classes)
    sums = graph.node("MatMul", decisions, graph.constant(sides))
    if classes == PAIR:
        return sums
    lost = graph.node("Cast", graph.node("Less", decisions, graph.constant(0.0)), to=TensorProto.DOUBLE)
    votes = graph.node(
        "Sub", graph.constant((sides > 0).sum(axis=0, dtype=float)), graph.node("MatMul", lost, graph.constant(sides))
    )
    scale = graph.node("Mul", graph.node("Add", graph.node("Abs", sums), graph.constant(1.0)), graph.constant(3.0))
    return graph.node("Add", votes, graph.node("Div", sums, scale))


CONVERTERS = {SVC: classifier(_convert_classifier, raw_scores=True), SVR: regressor(_convert_regressor)}
