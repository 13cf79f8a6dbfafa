"""Converts OneHotEncoder and OrdinalEncoder, including unknown and infrequent categories.

Categories that an encoder groups as infrequent share one code, the column's last
(``sklearn/preprocessing/_encoders.py``, ``_fit_infrequent_category_mapping``).
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType, guess_proto_type
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from convert.converters.converter import Converter
from convert.converters.nodes import Graph, one_hot

ONE_HOT, ORDINAL = "SklearnOneHotEncoder", "SklearnOrdinalEncoder"
UNKNOWN = -1
INFREQUENT = {"infrequent_if_exist", "warn"}
"""Values of `handle_unknown` with which an unknown category counts as infrequent."""


def _parse(
    scope: Scope, model: Any, inputs: list[Variable], custom_parsers: Mapping[type, Any] | None = None
) -> list[Variable]:
    """Adds an encoder to the topology: its output has the type of the model's numbers, or double if it has none.

    Text has no numeric type of its own, and the steps after an encoder compute in the type of their input.
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


@attrs.frozen(eq=False)
class _Codes:
    """The codes of one column.

    Attributes:
        categories: The known categories.
        codes: The code of each.
        unknown: The code of any other category.
    """

    categories: npt.NDArray[Any]
    codes: npt.NDArray[np.int64]
    unknown: int


def _read_codes(estimator: Any) -> list[_Codes]:
    # No public attribute holds the groups.
    is_grouping = estimator._infrequent_enabled  # noqa: SLF001
    groups = estimator._default_to_infrequent_mappings if is_grouping else [None] * len(estimator.categories_)  # noqa: SLF001
    return [
        _Codes(categories, np.arange(len(categories)), UNKNOWN)
        if group is None
        else _Codes(categories, group, int(group.max()) if estimator.handle_unknown in INFREQUENT else UNKNOWN)
        for categories, group in zip(estimator.categories_, groups, strict=True)
    ]


def _convert_to_columns(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes one column per code; an unknown category is 0 in all of them."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    columns = _read_codes(estimator)
    encoded = [list(range(column.codes.max() + 1)) for column in columns]
    dropped = estimator._drop_idx_after_grouping  # noqa: SLF001  as above
    for codes, drop in zip(encoded, [None] * len(encoded) if dropped is None else dropped, strict=True):
        if drop is not None:
            codes.remove(drop)
    graph.output(
        one_hot(graph, _encode(graph, operator, columns), encoded),
        operator.outputs[0].full_name,
        guess_proto_type(operator.outputs[0].type),
    )


def _convert_to_codes(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the code of each category; an unknown one becomes the encoder's `unknown_value`."""
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    codes = _encode(graph, operator, _read_codes(estimator))
    numbers = graph.node("Cast", codes, to=TensorProto.DOUBLE)
    if estimator.handle_unknown == "use_encoded_value":
        is_unknown = graph.node("Equal", codes, graph.constant(UNKNOWN))
        numbers = graph.node("Where", is_unknown, graph.constant(float(estimator.unknown_value)), numbers)
    graph.output(numbers, operator.outputs[0].full_name, guess_proto_type(operator.outputs[0].type))


def _encode(graph: Graph, operator: Operator, columns: list[_Codes]) -> str:
    """Writes the codes of the values, shape ``(n, columns)``."""
    found = [
        _find(graph, values, column, is_text=isinstance(variable.type, StringTensorType))
        for (values, variable), column in zip(_split(graph, operator), columns, strict=True)
    ]
    return graph.node("Concat", *found, axis=1)


def _split(graph: Graph, operator: Operator) -> list[tuple[str, Any]]:
    """Returns the name of each column, and the input that it is part of."""
    columns = []
    for variable in operator.inputs:
        width = variable.type.shape[1]
        parts = graph.nodes("Split", variable.full_name, graph.constant([1] * width), outputs=width, axis=1)
        columns += [(part, variable) for part in parts]
    return columns


def _find(graph: Graph, values: str, column: _Codes, *, is_text: bool) -> str:
    if is_text:
        return graph.node(
            "LabelEncoder",
            values,
            domain="ai.onnx.ml",
            keys_strings=[str(category) for category in column.categories],
            values_int64s=column.codes.tolist(),
            default_int64=column.unknown,
        )
    numbers = graph.node("Cast", values, to=TensorProto.DOUBLE)
    same = graph.node("Equal", numbers, graph.constant(np.asarray(column.categories, dtype=float)[np.newaxis]))
    # At most one category is equal, so that the sum is its code's difference from the unknown code, or 0.
    steps = (column.codes - column.unknown).astype(float)[:, np.newaxis]
    step = graph.node("MatMul", graph.node("Cast", same, to=TensorProto.DOUBLE), graph.constant(steps))
    return graph.node("Add", graph.node("Cast", step, to=TensorProto.INT64), graph.constant(column.unknown))


CONVERTERS = {
    OneHotEncoder: Converter(_declare, _convert_to_columns, parse=_parse),
    OrdinalEncoder: Converter(_declare, _convert_to_codes, parse=_parse),
}
