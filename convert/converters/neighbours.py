"""k nearest neighbours -> distances, the k least and their vote, in double, to the last bit and the last tie.

Distances. scikit-learn's trees add (x_j - y_j)^2 feature by feature in double (`euclidean_rdist` of
sklearn/metrics/_dist_metrics.pxd). A sum in another order rounds otherwise, and two neighbours that are equally far
by one order are not by the other. So the features are added here one by one, in theirs.

Ties. Which of the rows that are equally far as the k-th are neighbours follows from the order of the rows alone where
all of them are in one leaf, as with `algorithm="kd_tree"` and a `leaf_size` of at least as many rows; `heap.py` tells
how. With other parameters the order in which a tree is walked decides, or the rounding of a matrix product: the
answers are then the same but for such ties.

One tie remains. With `weights="distance"` and eight neighbours or more, numpy adds weights in lanes, so that where
neighbours of several classes are equally far their order, which an unstable sort leaves to chance, rounds the sums of
two classes that are equal in real numbers.
"""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from convert.converters.converter import classifier, regressor
from convert.converters.heap import Search, break_ties
from convert.converters.nodes import Graph, add_in_order, give_label, number_element, read_doubles

Array = npt.NDArray[np.float64]
EUCLIDEAN = ("euclidean", "l2")


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Counts the neighbours of each class, or adds their weights; the first class of the most has the vote."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    distances, neighbours = _find_neighbours(graph, operator)
    memberships = graph.constant(np.eye(len(estimator.classes_))[estimator._y])  # noqa: SLF001  it has no other name
    votes = _weigh(graph, operator, graph.node("Gather", memberships, neighbours), distances)
    axis = graph.constant([1])
    give_label(
        graph, graph.node("ArgMax", votes, axis=1, keepdims=0), estimator.classes_, operator.outputs[0].full_name
    )
    shares = graph.node("Div", votes, graph.node("ReduceSum", votes, axis))
    graph.give(shares, operator.outputs[1].full_name, number_element(operator))


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Takes the mean of the neighbours' targets, weighted or not."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    distances, neighbours = _find_neighbours(graph, operator)
    targets = _read_targets(estimator)
    # Beside each target is a one, whose sum is what to divide by.
    known = graph.constant(np.column_stack([targets, np.ones_like(targets)]))
    sums = _weigh(graph, operator, graph.node("Gather", known, neighbours), distances)
    total, weight = graph.nodes("Split", sums, graph.constant([1, 1]), outputs=2, axis=1)
    graph.give(graph.node("Div", total, weight), operator.outputs[0].full_name, number_element(operator))


def _find_neighbours(graph: Graph, operator: Operator) -> tuple[str, str]:
    """Gives the distances of the neighbours, squared, the nearest first, and their positions; both ``(n, k)``."""
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
    """Gives the known rows' targets, of a classifier the positions of their classes; shape ``(known,)``."""
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
    """Adds the neighbours' values, shape ``(n, k, m)``, weighted by the inverse of their distances or by one."""
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
    """Gives 1 / distance; where a row is among the known ones, these alone count, as one each."""
    distances = graph.node("Sqrt", squares)
    zero = graph.node("Equal", distances, graph.constant(0.0))
    same = graph.node("Cast", zero, to=TensorProto.DOUBLE)
    any_same = graph.node("Greater", graph.node("ReduceSum", same, graph.constant([1])), graph.constant(0.0))
    return graph.node("Where", any_same, same, graph.node("Div", graph.constant(1.0), distances))


def _add_as_numpy(graph: Graph, terms: list[str]) -> str:
    """Adds in the order of numpy's pairwise sum: one by one below 8, in 8 lanes up to 128, in two halves above."""
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
