"""Converts SimpleImputer for numbers, in float32 and float64: a missing value becomes its column's statistic."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.impute import SimpleImputer

from convert.converters.converter import Converter
from convert.converters.nodes import Graph, declare_numbers, number_element, read_doubles


def _declare(operator: Operator) -> None:
    declare_numbers(operator, operator.raw_operator.get_feature_names_out().shape[0])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Replaces missing values, and drops columns that had no value in training.

    Raises:
        NotImplementedError: If missing values are not NaN.
    """
    estimator = operator.raw_operator
    if estimator.missing_values is not None and not np.isnan(estimator.missing_values):
        raise NotImplementedError(f"expected missing values that are NaN, got {estimator.missing_values!r}")
    graph = Graph(scope, container)
    values = read_doubles(graph, operator)
    missing = graph.node("IsNaN", values)
    filled = graph.node("Where", missing, graph.constant(estimator.statistics_.astype(float)), values)
    kept = np.flatnonzero(~np.isnan(estimator.statistics_.astype(float)))
    columns = [graph.node("Gather", filled, graph.constant(kept), axis=1)]
    if estimator.add_indicator:
        indicators = graph.node("Gather", missing, graph.constant(estimator.indicator_.features_), axis=1)
        columns.append(graph.node("Cast", indicators, to=TensorProto.DOUBLE))
    graph.output(graph.node("Concat", *columns, axis=1), operator.outputs[0].full_name, number_element(operator))


CONVERTERS = {SimpleImputer: Converter(_declare, _convert)}
