"""Writes the nodes that every family of trees shares: leaf values of each row, their sum, and the outputs."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common._topology import Operator
from skl2onnx.common.data_types import FloatTensorType

from convert.converters.ensemble import Precision, build_ensemble
from convert.converters.nodes import Graph, number_element, write_label
from convert.converters.tree import Tree

_ELEMENTS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


def takes_float32(operator: Operator) -> bool:
    """Returns whether an operator's input is float32."""
    return isinstance(operator.inputs[0].type, FloatTensorType)


def gather_leaves(graph: Graph, operator: Operator, trees: tuple[Tree, ...], precision: Precision) -> str:
    """Writes the leaf value of each row in each tree: float64 of shape ``(trees, rows, outputs)``.

    Args:
        graph: The graph to write to.
        operator: The operator that is converted; its input is the rows.
        trees: The trees.
        precision: The type in which scikit-learn compares; the input is cast to it, as scikit-learn casts it.
    """
    ensemble = build_ensemble(trees, precision)
    rows = _cast(graph, operator, precision)
    indices = graph.node("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", **ensemble.attributes)
    by_tree = graph.node("Transpose", graph.node("Cast", indices, to=TensorProto.INT32), perm=[1, 0])
    return graph.node("Gather", graph.constant(ensemble.table), by_tree, axis=0)


def sum_trees(graph: Graph, leaves: str) -> str:
    """Writes the sum over the first axis. onnxruntime adds along an outermost axis in order, as scikit-learn does."""
    return graph.node("ReduceSum", leaves, graph.constant([0]), keepdims=0)


def mask_infinite(graph: Graph, operator: Operator, numbers: str) -> str:
    """Writes NaN for rows with a value beyond float32, which scikit-learn refuses.

    A request has no such value. A step before the trees, such as a scaler or a product, may make one.

    Args:
        graph: The graph to write to.
        operator: The operator that is converted; its input is the rows.
        numbers: The rows' answers, shape ``(rows, outputs)``.
    """
    if operator.inputs[0].is_root:
        return numbers
    infinite = graph.node("IsInf", _cast(graph, operator, np.float32))
    found = graph.node("ReduceMax", graph.node("Cast", infinite, to=TensorProto.FLOAT), graph.constant([1]))
    return graph.node("Where", graph.node("Cast", found, to=TensorProto.BOOL), graph.constant(np.nan), numbers)


def write_argmax_label(graph: Graph, operator: Operator, scores: str, *, last_of_equals: bool = False) -> None:
    """Writes the label output: the class of the largest score, shape ``(rows,)``.

    Args:
        graph: The graph to write to.
        operator: The operator that is converted.
        scores: float64 of shape ``(rows, classes)``.
        last_of_equals: True if the last of equal scores wins; otherwise the first does, as in ``numpy.argmax``.
    """
    index = graph.node("ArgMax", scores, axis=1, keepdims=0, select_last_index=int(last_of_equals))
    write_label(graph, index, operator.raw_operator.classes_, operator.outputs[0].full_name)


def write_numbers(graph: Graph, operator: Operator, numbers: str) -> None:
    """Writes the last output: float64 numbers, cast to the type of the operator's input."""
    graph.output(numbers, operator.outputs[-1].full_name, number_element(operator))


def _cast(graph: Graph, operator: Operator, precision: Precision) -> str:
    name: str = operator.inputs[0].full_name
    if takes_float32(operator) and precision is np.float32:
        return name
    return graph.node("Cast", name, to=_ELEMENTS[precision])
