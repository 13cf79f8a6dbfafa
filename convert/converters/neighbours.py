"""Converts k nearest neighbours in float64: distances, the k smallest and their vote, exact in all ties but one.

Distances. scikit-learn's trees add (x_j - y_j)^2 feature by feature in double (`euclidean_rdist` of
sklearn/metrics/_dist_metrics.pxd). A sum in another order is rounded differently, and may break or make a tie. So the
features are added one by one in the same order.

Ties for the k-th place. If all rows are in one leaf, the order of the rows decides, in the way that `heap.py`
describes. That is so with `algorithm="kd_tree"` and a `leaf_size` of at least the number of rows. With other
parameters the order in which the tree is walked decides, or the rounding of a matrix product; answers may then differ
in such ties.

The remaining tie. With `weights="distance"` and eight or more neighbours, numpy adds weights in lanes. If neighbours of
several classes are equally far, an unstable sort decides their order, and so the rounding of sums that are equal in
real numbers.
"""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from convert.converters.converter import classifier, regressor
from convert.converters.heap import Search, break_ties
from convert.converters.nodes import Graph, add_in_order, number_element, read_doubles, write_label

Array = npt.NDArray[np.float64]
EUCLIDEAN = ("euclidean", "l2")


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the shares of the classes, by count or by weight, and the first class of the largest share."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    distances, neighbours = _find_neighbours(graph, operator)
    memberships = graph.constant(np.eye(len(estimator.classes_))[estimator._y])  # noqa: SLF001  no public attribute holds it
    votes = _weigh(graph, operator, graph.node("Gather", memberships, neighbours), distances)
    axis = graph.constant([1])
    write_label(
        graph, graph.node("ArgMax", votes, axis=1, keepdims=0), estimator.classes_, operator.outputs[0].full_name
    )
    shares = graph.node("Div", votes, graph.node("ReduceSum", votes, axis))
    graph.output(shares, operator.outputs[1].full_name, number_element(operator))


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the mean of the neighbours' targets, weighted or not."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    distances, neighbours = _find_neighbours(graph, operator)
    targets = _read_targets(estimator)
    # Beside each target is a one; the sum of the ones is the divisor.
    known = graph.constant(np.column_stack([targets, np.ones_like(targets)]))
    sums = _weigh(graph, operator, graph.node("Gather", known, neighbours), distances)
    total, weight = graph.nodes("Split", sums, graph.constant([1, 1]), outputs=2, axis=1)
    graph.output(graph.node("Div", total, weight), operator.outputs[0].full_name, number_element(operator))


def _find_neighbours(graph: Graph, operator: Operator) -> tuple[str, str]:
    """Writes the squared distances of the neighbours, the nearest first, and their positions; both ``(n, k)``."""
    estimator = operator.raw_operator
    if estimator.effective_metric_ not in EUCLIDEAN:
        raise NotImplementedError(f"expected a Euclidean metric, got {estimator.effective_metric_!r}")
    known = np.asarray(estimator._fit_X, dtype=float)  # noqa: SLF001  as above
    count = estimator.n_neighbors
    squares = _square_distances(graph, read_doubles(graph, operator), known)
    nearest, rows = graph.nodes("TopK", squares, graph.constant([min(count + 1, len(known))]), outputs=2, largest=0)
    if count == len(known):
        return nearest, rows
    return break_ties(graph, Search(squares, count, _read_targets(estimator)), nearest, rows)


def _read_targets(estimator: KNeighborsClassifier | KNeighborsRegressor) -> Array:
    """Returns the known rows' targets, for a classifier the indices of their classes; shape ``(known,)``."""
    return np.asarray(estimator._y, dtype=float).reshape(-1)  # noqa: SLF001  as above


def _square_distances(graph: Graph, values: str, known: Array) -> str:
    features = known.shape[1]
    columns = graph.nodes("Split", values, graph.constant([1] * features), outputs=features, axis=1)
    terms = []
    for column, of_known in zip(columns, known.T, strict=True):
        difference = graph.node("Sub", column, graph.constant(of_known[np.newaxis]))
        terms.append(graph.node("Mul", difference, difference))
    return add_in_order(graph, terms)


def _weigh(graph: Graph, operator: Operator, values: str, squares: str) -> str:
    """Writes the sum of the neighbours' values, shape ``(n, k, m)``, weighted by inverse distance or uniformly."""
    weights = operator.raw_operator.weights
    if weights == "uniform" or weights is None:
        return graph.node("ReduceSum", values, graph.constant([1]), keepdims=0)
    if weights != "distance":
        raise NotImplementedError(f"expected weights 'uniform' or 'distance', got {weights!r}")
    count = operator.raw_operator.n_neighbors
    weighted = graph.node("Mul", values, graph.node("Unsqueeze", _inverse(graph, squares), graph.constant([2])))
    parts = graph.nodes("Split", weighted, graph.constant([1] * count), outputs=count, axis=1)
    return graph.node("Squeeze", _add_as_numpy(graph, parts), graph.constant([1]))


def _inverse(graph: Graph, squares: str) -> str:
    """Writes 1 / distance; if neighbours are at distance 0, their weight is 1 and that of all others is 0."""
    distances = graph.node("Sqrt", squares)
    zero = graph.node("Equal", distances, graph.constant(0.0))
    same = graph.node("Cast", zero, to=TensorProto.DOUBLE)
    any_same = graph.node("Greater", graph.node("ReduceSum", same, graph.constant([1])), graph.constant(0.0))
    return graph.node("Where", any_same, same, graph.node("Div", graph.constant(1.0), distances))


def _add_as_numpy(graph: Graph, terms: list[str]) -> str:
    """Adds in the order of numpy's pairwise sum: in order below 8 terms, in 8 lanes up to 128, in halves above."""
    lanes, block = 8, 128
    if len(terms) < lanes:
        return add_in_order(graph, terms)
    if len(terms) > block:
        half = len(terms) // 2 - len(terms) // 2 % lanes
        return graph.node("Add", _add_as_numpy(graph, terms[:half]), _add_as_numpy(graph, terms[half:]))
    whole = len(terms) - len(terms) % lanes
    sums = [add_in_order(graph, terms[lane:whole:lanes]) for lane in range(lanes)]
    while len(sums) > 1:
        sums = [graph.node("Add", *pair) for pair in zip(sums[::2], sums[1::2], strict=True)]
    return add_in_order(graph, [*sums, *terms[whole:]])


CONVERTERS = {
    KNeighborsClassifier: classifier(_convert_classifier),
    KNeighborsRegressor: regressor(_convert_regressor),
}
