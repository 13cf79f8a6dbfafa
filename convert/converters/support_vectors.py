"""Converts SVC and SVR in float64: kernel, decisions and votes. onnxruntime's own operator computes in float32.

Kernels are those of LIBSVM (Chang and Lin, "LIBSVM: a library for support vector machines", 2011, sections 2.1 and 4),
as scikit-learn's `_libsvm` calls it. Squared distances are computed as |x|^2 - 2 x.v + |v|^2. The mean of the support
vectors is subtracted first, so that large values with small differences do not cancel.
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
from convert.converters.nodes import Graph, number_element, read_doubles, write_label

PAIR = 2
Array = npt.NDArray[np.float64]

_convert_with_probabilities = get_converter("SklearnSVC")
"""skl2onnx's own converter. It is correct if LIBSVM itself computes probabilities, which scikit-learn 1.11 removes."""


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the label with the most votes over pairs of classes, and the scores of `decision_function` by class."""
    estimator = operator.raw_operator
    if len(estimator._probA):  # noqa: SLF001  its public name warns
        _convert_with_probabilities(scope, operator, container)
        return
    graph = Graph(scope, container)
    kernel = _apply_kernel(graph, operator)
    # The attributes with an underscore are LIBSVM's: a decision above 0 is for the first class of a pair.
    of_pairs = graph.constant(_spread(estimator._dual_coef_, estimator.n_support_))
    decisions = graph.node("Add", graph.node("MatMul", kernel, of_pairs), graph.constant(estimator._intercept_))
    label, scores = operator.outputs[0].full_name, operator.outputs[1].full_name
    count = len(estimator.classes_)
    by_class = _score(graph, decisions, count)
    votes = by_class if estimator.break_ties and count > PAIR else _count_votes(graph, decisions, count)
    write_label(graph, graph.node("ArgMax", votes, axis=1, keepdims=0), estimator.classes_, label)
    graph.output(by_class, scores, number_element(operator))


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    sums = graph.node("MatMul", _apply_kernel(graph, operator), graph.constant(estimator.dual_coef_.T))
    value = graph.node("Add", sums, graph.constant(estimator.intercept_))
    graph.output(value, operator.outputs[0].full_name, number_element(operator))


def _apply_kernel(graph: Graph, operator: Operator) -> str:
    """Writes the kernel of each row with each support vector, shape ``(n, vectors)``."""
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
    """Writes exp(-gamma |x - v|^2)."""
    mean = vectors.mean(axis=0)
    centred = graph.node("Sub", values, graph.constant(mean))
    centred_vectors = vectors - mean
    lengths = graph.node("ReduceSum", graph.node("Mul", centred, centred), graph.constant([1]))
    products = graph.node("MatMul", centred, graph.constant(2 * gamma * centred_vectors.T))
    vector_lengths = (centred_vectors**2).sum(axis=1)
    outer = graph.node(
        "Add", graph.node("Mul", lengths, graph.constant(-gamma)), graph.constant(-gamma * vector_lengths)
    )
    return graph.node("Exp", graph.node("Add", outer, products))


def _spread(coefficients: Array, vectors_of_class: npt.NDArray[Any]) -> Array:
    """Returns LIBSVM's coefficients with one column per pair of classes, zero for vectors of neither class.

    Args:
        coefficients: Shape ``(classes - 1, vectors)``, vectors by class; the rows of a vector are the other classes in
            order.
        vectors_of_class: The number of vectors of each class.

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
    """Returns 1 at the first and -1 at the second class of each pair, shape ``(pairs, classes)``."""
    identity = np.eye(classes)
    return np.array(
        [identity[first] - identity[second] for first, second in itertools.combinations(range(classes), PAIR)]
    )


def _count_votes(graph: Graph, decisions: str, classes: int) -> str:
    """Counts the pairs that each class wins; a decision of 0 is for the second class of a pair."""
    sides = _sides(classes)
    first_wins = graph.node("Cast", graph.node("Greater", decisions, graph.constant(0.0)), to=TensorProto.DOUBLE)
    return graph.node(
        "Add",
        graph.node("MatMul", first_wins, graph.constant(sides)),
        graph.constant((sides < 0).sum(axis=0, dtype=float)),
    )


def _score(graph: Graph, decisions: str, classes: int) -> str:
    """Writes the score of each class: of two classes the decision and its negative.

    Of more classes it is that of `_ovr_decision_function` (sklearn/utils/multiclass.py): the votes, where a decision of
    0 is for the first class, plus s / (3 (|s| + 1)), where s is the sum of the decisions for the class. The second
    term is less than a third of a vote.
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
