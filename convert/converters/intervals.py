"""Converts KBinsDiscretizer: each number becomes the index of its interval, ordinal or one-hot."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.preprocessing import KBinsDiscretizer

from convert.converters.converter import Converter
from convert.converters.nodes import Graph, count_edges, declare_numbers, number_element, one_hot, read_doubles


def _declare(operator: Operator) -> None:
    estimator = operator.raw_operator
    declare_numbers(operator, len(estimator.n_bins_) if estimator.encode == "ordinal" else int(sum(estimator.n_bins_)))


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Counts the inner edges up to each number; numbers beyond the outer edges are in the outer intervals."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    edges = [of_feature[1:-1] for of_feature in estimator.bin_edges_]
    # A feature with fewer edges is padded with infinity, which no number reaches.
    padded = np.full((len(edges), max(1, *map(len, edges))), np.inf)
    for row, of_feature in zip(padded, edges, strict=True):
        row[: len(of_feature)] = of_feature
    codes = count_edges(graph, read_doubles(graph, operator), padded)
    if estimator.encode == "ordinal":
        encoded = graph.node("Cast", codes, to=TensorProto.DOUBLE)
    else:
        encoded = one_hot(graph, codes, [range(count) for count in estimator.n_bins_])
    graph.output(encoded, operator.outputs[0].full_name, number_element(operator))


CONVERTERS = {KBinsDiscretizer: Converter(_declare, _convert)}
