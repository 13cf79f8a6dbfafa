"""Compiles a fitted estimator to ONNX with skl2onnx and the converters of this project, and describes the result.

Whether the model answers as the estimator does is proven elsewhere, in `convert.parity`.
"""

from collections.abc import Sequence
from typing import Literal

import attrs
from onnx import ModelProto, NodeProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer

from convert.converters.labels import widen_labels
from convert.converters.register import register_converters
from convert.errors import ConvertError
from server.contract.signature import CATEGORIES, NUMBERS, Datatype, Feature, Label, Signature, Tensor
from training.estimators import Estimator

Precision = Literal["float32", "float64"]
"""The type of a compiled model's numeric inputs."""
PRECISIONS: Sequence[Precision] = ("float32", "float64")
"""All precisions, the cheapest first."""
OUTPUTS = ("label", "probabilities")
VALUE_OUTPUT = "variable"
MAX_REASON_CHARS = 300
"""Maximum length of a library's error that is passed on; some print a whole model."""

_NUMBER_TYPES = {"float32": FloatTensorType, "float64": DoubleTensorType}
_ELEMENTS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
_INPUT_DATATYPES: dict[Precision, Datatype] = {"float32": "FP32", "float64": "FP64"}
_OUTPUT_DATATYPES: dict[int, Datatype] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.INT64: "INT64",
    TensorProto.STRING: "BYTES",
}


@attrs.frozen
class Compiled:
    """A compiled model.

    Attributes:
        model: The ONNX bytes.
        signature: Its inputs, outputs, features and labels.
    """

    model: bytes
    signature: Signature


def export(estimator: Estimator, features: tuple[Feature, ...], precision: Precision = "float32") -> Compiled:
    """Compiles a fitted estimator.

    Args:
        estimator: The fitted estimator; it is a classifier if it has `classes_`.
        features: The features it was fitted on, in order, as `describe_features` returns them.
        precision: The type of the model's numeric inputs.

    Raises:
        ConvertError: If skl2onnx cannot compile the estimator.
        MemoryError: If there is not enough memory.
    """
    try:
        if _selects_columns(estimator) or any(feature.type == "category" for feature in features):
            model = _compile_by_columns(estimator, features, precision)
        else:
            model = _to_onnx(estimator, [(NUMBERS, _NUMBER_TYPES[precision]([None, len(features)]))])
        return Compiled(model.SerializeToString(), _sign(estimator, model, features, precision))
    except MemoryError:
        raise  # says nothing about the estimator
    except Exception as error:
        # skl2onnx covers all of scikit-learn and raises errors of any type.
        reason = str(error).partition("\n")[0][:MAX_REASON_CHARS]
        raise ConvertError(f"skl2onnx cannot compile {type(estimator).__name__}: {reason}") from error


def _compile_by_columns(estimator: Estimator, features: Sequence[Feature], precision: Precision) -> ModelProto:
    """Compiles with one input per column, then replaces these inputs by one table of numbers and one of categories."""
    number = _NUMBER_TYPES[precision]
    types = [StringTensorType if feature.type == "category" else number for feature in features]
    names = [feature.name for feature in features]
    model = _to_onnx(estimator, [(name, kind([None, 1])) for name, kind in zip(names, types, strict=True)])
    # The inputs are in the features' order. skl2onnx renames those whose names it does not allow or uses itself.
    inputs = [column.name for column in model.graph.input]
    del model.graph.input[:]
    gathers: list[NodeProto] = []
    for table, element, is_category in (
        (NUMBERS, _ELEMENTS[precision], False),
        (CATEGORIES, TensorProto.STRING, True),
    ):
        columns = [
            name for feature, name in zip(features, inputs, strict=True) if (feature.type == "category") is is_category
        ]
        if columns:
            model.graph.input.append(helper.make_tensor_value_info(table, element, [None, len(columns)]))
        gathers += [_gather_column(model, table, column, index) for index, column in enumerate(columns)]
    for gather in gathers:
        model.graph.node.insert(0, gather)
    return model


def _gather_column(model: ModelProto, table: str, column: str, index: int) -> NodeProto:
    """Returns the node that takes a column out of a table, and renames the column wherever the graph uses it."""
    # skl2onnx uses no name with a space.
    output, position = f"{table} {index}", f"position of {table} {index}"
    for node in model.graph.node:
        node.input[:] = [output if name == column else name for name in node.input]
    model.graph.initializer.append(helper.make_tensor(position, TensorProto.INT64, [1], [index]))
    # Split with num_outputs needs opset 18; skl2onnx declares the lowest opset that a model's operators need.
    return helper.make_node("Gather", [table, position], [output], axis=1)


def _to_onnx(
    estimator: Estimator, inputs: list[tuple[str, FloatTensorType | DoubleTensorType | StringTensorType]]
) -> ModelProto:
    register_converters()
    # ZipMap returns a list of dictionaries per batch; a tensor of probabilities is faster to serve.
    options = {"zipmap": False} if _is_classifier(estimator) else None
    model: ModelProto = to_onnx(estimator, initial_types=inputs, options=options)
    if _is_classifier(estimator):
        widen_labels(model, estimator.classes_)
    return model


def _is_classifier(estimator: Estimator) -> bool:
    return hasattr(estimator, "classes_")


def _selects_columns(estimator: Estimator) -> bool:
    """Returns whether a part of the estimator may select columns by name, which an unnamed table does not allow."""
    return any(isinstance(part, ColumnTransformer) for part in (estimator, *estimator.get_params().values()))


def _sign(estimator: Estimator, model: ModelProto, features: tuple[Feature, ...], precision: Precision) -> Signature:
    categories = sum(feature.type == "category" for feature in features)
    inputs = (
        Tensor(NUMBERS, _INPUT_DATATYPES[precision], (-1, len(features) - categories)),
        Tensor(CATEGORIES, "BYTES", (-1, categories)),
    )
    datatypes = {output.name: _OUTPUT_DATATYPES[output.type.tensor_type.elem_type] for output in model.graph.output}
    labels: tuple[Label, ...] = ()
    shapes: dict[str, tuple[int, ...]] = {VALUE_OUTPUT: (-1, 1)}
    if _is_classifier(estimator):
        labels = tuple(estimator.classes_.tolist())
        shapes = dict(zip(OUTPUTS, ((-1,), (-1, len(labels))), strict=True))
    return Signature(
        inputs=tuple(tensor for tensor in inputs if tensor.shape[1]),
        outputs=tuple(Tensor(name, datatypes[name], shape) for name, shape in shapes.items()),
        features=features,
        labels=labels,
    )
