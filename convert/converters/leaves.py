"""Trees -> nodes that find the leaves of each row and add up what these say; knows nothing of estimators' families."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common._topology import Operator
from skl2onnx.common.data_types import FloatTensorType

from convert.converters.ensemble import Precision, build_ensemble
from convert.converters.nodes import Graph, give_label, number_element
from convert.converters.tree import Tree

_ELEMENTS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


def takes_float32(operator: Operator) -> bool:
    """Says whether an operator's input is float32."""
    return isinstance(operator.inputs[0].type, FloatTensorType)


def ask_leaves(graph: Graph, operator: Operator, trees: tuple[Tree, ...], precision: Precision) -> str:
    """Writes what each tree's leaf says of each row: float64 of shape ``(trees, rows, outputs)``.

    Args:
        graph: Where to write.
        operator: What is converted; its input is the rows.
        trees: The trees.
        precision: In which scikit-learn compares; the input is cast to it as scikit-learn casts it.
    """
    ensemble = build_ensemble(trees, precision)
    rows = _cast(graph, operator, precision)
    places = graph.node("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", **ensemble.attributes)
    by_tree = graph.node("Transpose", graph.node("Cast", places, to=TensorProto.INT32), perm=[1, 0])
    return graph.node("Gather", graph.constant(ensemble.table), by_tree, axis=0)


def add_up(graph: Graph, leaves: str) -> str:
    """Writes the sum over the first axis, one after the other, as onnxruntime reduces an outermost axis."""
    return graph.node("ReduceSum", leaves, graph.constant([0]), keepdims=0)


def withhold_infinite(graph: Graph, operator: Operator, numbers: str) -> str:
    """Writes NaN for the rows that scikit-learn refuses, as they have a value that float32 has not.

    A request has none. What a step before the trees makes of one may: a scaler, or a product.

    Args:
        graph: Where to write.
        operator: What is converted; its input is the rows.
        numbers: What is said of them, shape ``(rows, outputs)``.
    """
    if operator.inputs[0].is_root:
        return numbers
    infinite = graph.node("IsInf", _cast(graph, operator, np.float32))
    found = graph.node("ReduceMax", graph.node("Cast", infinite, to=TensorProto.FLOAT), graph.constant([1]))
    return graph.node("Where", graph.node("Cast", found, to=TensorProto.BOOL), graph.constant(np.nan), numbers)


def give_winner(graph: Graph, operator: Operator, scores: str, *, last_of_equals: bool = False) -> None:
    """Writes the label output: the class of the greatest score, shape ``(rows,)``.

    Args:
        graph: Where to write.
        operator: What is converted.
        scores: float64 of shape ``(rows, classes)``.
        last_of_equals: Whether the last of equal scores wins, and not the first as in ``numpy.argmax``.
    """
    winner = graph.node("ArgMax", scores, axis=1, keepdims=0, select_last_index=int(last_of_equals))
    give_label(graph, winner, operator.raw_operator.classes_, operator.outputs[0].full_name)


def give_numbers(graph: Graph, operator: Operator, numbers: str) -> None:
    """Writes the last output of float64 numbers, cast to the element of the operator's input."""
    graph.give(numbers, operator.outputs[-1].full_name, number_element(operator))


def _cast(graph: Graph, operator: Operator, precision: Precision) -> str:
    name: str = operator.inputs[0].full_name
    if takes_float32(operator) and precision is np.float32:
        return name
    return graph.node("Cast", name, to=_ELEMENTS[precision])
