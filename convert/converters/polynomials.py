"""Converts PolynomialFeatures. Each product is made from one of a degree below, which rounds as scikit-learn does."""

import itertools
from collections.abc import Iterator

from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.preprocessing import PolynomialFeatures

from convert.converters.converter import Converter
from convert.converters.nodes import Graph, declare_numbers, number_element, read_doubles


def _declare(operator: Operator) -> None:
    declare_numbers(operator, operator.raw_operator.n_output_features_)


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Multiplies degree by degree: the first feature of a combination by the product of the others."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    values = read_doubles(graph, operator)
    least = max(estimator._min_degree, 1)  # noqa: SLF001  `degree` may be a number or a pair
    products, lower = values, list(_combine(estimator, 1))
    columns = [values] if least == 1 else []
    for degree in range(2, estimator._max_degree + 1):  # noqa: SLF001  as above
        combinations = list(_combine(estimator, degree))
        index_of = {combination: index for index, combination in enumerate(lower)}
        firsts = graph.node("Gather", values, graph.constant([combination[0] for combination in combinations]), axis=1)
        others = graph.constant([index_of[combination[1:]] for combination in combinations])
        products, lower = graph.node("Mul", firsts, graph.node("Gather", products, others, axis=1)), combinations
        if degree >= least:
            columns.append(products)
    output = graph.node("Concat", *columns, axis=1)
    if estimator.include_bias:
        output = graph.node("Pad", output, graph.constant([0, 1, 0, 0]), graph.constant(1.0))
    graph.output(output, operator.outputs[0].full_name, number_element(operator))


def _combine(estimator: PolynomialFeatures, degree: int) -> Iterator[tuple[int, ...]]:
    choose = itertools.combinations if estimator.interaction_only else itertools.combinations_with_replacement
    return choose(range(estimator.n_features_in_), degree)


CONVERTERS = {PolynomialFeatures: Converter(_declare, _convert)}
