"""Categories -> numbers: a code for each, or a column of 0 and 1; what was not seen is told apart from all of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType, guess_proto_type
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from convert.converters.nodes import Graph, show_codes

ONE_HOT, ORDINAL = "SklearnOneHotEncoder", "SklearnOrdinalEncoder"
UNSEEN = -1


def register_converters() -> None:
    """Makes skl2onnx compile the encoders by this file."""
    update_registered_converter(OneHotEncoder, ONE_HOT, _declare, _convert_to_columns, parser=_parse)
    update_registered_converter(OrdinalEncoder, ORDINAL, _declare, _convert_to_codes, parser=_parse)


def _parse(
    scope: Scope, model: Any, inputs: list[Variable], custom_parsers: Mapping[type, Any] | None = None
) -> list[Variable]:
    """Places an encoder in the model: its output is as wide as the model's numbers, and double where there are none.

    Text has no width of its own. What follows an encoder computes in the width of what it is given.
    """
    del custom_parsers  # an encoder has no parts
    single = any(isinstance(variable.type, FloatTensorType) for variable in scope.input_variables)
    operator = scope.declare_local_operator(ONE_HOT if isinstance(model, OneHotEncoder) else ORDINAL, model)
    operator.inputs = inputs
    operator.outputs.append(
        scope.declare_local_variable("encoded", FloatTensorType() if single else DoubleTensorType())
    )
    return list(operator.outputs)


def _declare(operator: Operator) -> None:
    width = operator.raw_operator.get_feature_names_out().shape[0]
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), width]


def _convert_to_columns(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Shows each category; one that was not seen shows as 0 everywhere."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    shown = [list(range(len(categories))) for categories in estimator.categories_]
    for codes, dropped in zip(
        shown, [None] * len(shown) if estimator.drop_idx_ is None else estimator.drop_idx_, strict=True
    ):
        if dropped is not None:
            codes.remove(dropped)
    graph.give(
        show_codes(graph, _encode(graph, operator), shown),
        operator.outputs[0].full_name,
        guess_proto_type(operator.outputs[0].type),
    )


def _convert_to_codes(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Gives each category its code; one that was not seen has the encoder's `unknown_value`."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    codes = _encode(graph, operator)
    numbers = graph.node("Cast", codes, to=TensorProto.DOUBLE)
    if estimator.handle_unknown == "use_encoded_value":
        unseen = graph.node("Equal", codes, graph.constant(UNSEEN))
        numbers = graph.node("Where", unseen, graph.constant(float(estimator.unknown_value)), numbers)
    graph.give(numbers, operator.outputs[0].full_name, guess_proto_type(operator.outputs[0].type))


def _encode(graph: Graph, operator: Operator) -> str:
    """Finds the positions of the values among their column's categories, shape ``(n, columns)``."""
    estimator = operator.raw_operator
    if getattr(estimator, "_infrequent_enabled", False):
        raise NotImplementedError("expected an encoder that keeps all categories, got one that groups infrequent ones")
    columns = _split(graph, operator)
    codes = [
        _find(graph, column, categories, is_text=isinstance(variable.type, StringTensorType))
        for (column, variable), categories in zip(columns, estimator.categories_, strict=True)
    ]
    return graph.node("Concat", *codes, axis=1)


def _split(graph: Graph, operator: Operator) -> list[tuple[str, Any]]:
    """Gives each column by itself, and the input that it comes from."""
    columns = []
    for variable in operator.inputs:
        width = variable.type.shape[1]
        parts = graph.nodes("Split", variable.full_name, graph.constant([1] * width), outputs=width, axis=1)
        columns += [(part, variable) for part in parts]
    return columns


def _find(graph: Graph, column: str, categories: npt.NDArray[Any], *, is_text: bool) -> str:
    if is_text:
        return graph.node(
            "LabelEncoder",
            column,
            domain="ai.onnx.ml",
            keys_strings=[str(category) for category in categories],
            values_int64s=list(range(len(categories))),
            default_int64=UNSEEN,
        )
    numbers = graph.node("Cast", column, to=TensorProto.DOUBLE)
    same = graph.node("Equal", numbers, graph.constant(np.asarray(categories, dtype=float)[np.newaxis]))
    position = graph.node(
        "MatMul",
        graph.node("Cast", same, to=TensorProto.DOUBLE),
        graph.constant(np.arange(1.0, len(categories) + 1)[:, np.newaxis]),
    )
    return graph.node("Sub", graph.node("Cast", position, to=TensorProto.INT64), graph.constant(1))
