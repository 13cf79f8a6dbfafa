"""Estimator + dataset -> ONNX bytes and Signature, by skl2onnx and our own converters; it proves nothing."""

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np
import pandas as pd
from onnx import ModelProto, NodeProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer

from convert.converters.labels import widen_labels
from convert.converters.register import register_converters
from convert.errors import ConvertError
from server.contract.signature import CATEGORIES, NUMBERS, QUANTILES, Datatype, Feature, Label, Signature, Tensor
from server.contract.types import MAX_TEXT_CHARS
from training.columns import Column
from training.dataset import Dataset
from training.estimators import Estimator

Precision = Literal["float32", "float64"]
"""As what the compiled model takes its numbers."""
PRECISIONS: Sequence[Precision] = ("float32", "float64")
"""The cheapest first."""
OUTPUTS = ("label", "probabilities")
VALUE_OUTPUT = "variable"
MAX_REASON_CHARS = 300
"""How much is told of a library's error, which may print a whole model."""

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
        model: ONNX bytes.
        signature: What it takes and gives.
    """

    model: bytes
    signature: Signature


def export(estimator: Estimator, dataset: Dataset, precision: Precision = "float32") -> Compiled:
    """Compiles a fitted estimator.

    Args:
        estimator: The fitted estimator.
        dataset: The rows it was fitted on, for the names, types and ranges of its features.
        precision: As what to take numbers.

    Raises:
        ConvertError: If skl2onnx cannot compile it, or a category is too long a text.
        MemoryError: If there is not enough memory.
    """
    features = describe_features(dataset)
    try:
        if _takes_columns(estimator) or any(feature.type == "category" for feature in features):
            model = _compile_by_columns(estimator, features, precision)
        else:
            model = _to_onnx(estimator, [(NUMBERS, _NUMBER_TYPES[precision]([None, len(features)]))])
        return Compiled(model.SerializeToString(), _sign(estimator, model, features, dataset, precision))
    except MemoryError:
        raise  # says nothing of the estimator
    except Exception as error:
        # A library for all of scikit-learn fails in all sorts of ways.
        reason = str(error).partition("\n")[0][:MAX_REASON_CHARS]
        raise ConvertError(f"skl2onnx cannot compile {type(estimator).__name__}: {reason}") from error


def describe_features(dataset: Dataset) -> tuple[Feature, ...]:
    """Says of each feature what training saw of it.

    Raises:
        ConvertError: If a category is too long a text.
    """
    return tuple(_feature(column, dataset.features[column.name]) for column in dataset.columns[:-1])


def _feature(column: Column, values: pd.Series) -> Feature:
    nullable = column.missing > 0
    if column.kind != "category":
        steps = np.linspace(0, 1, QUANTILES)
        quantiles = np.quantile(values.dropna(), steps, method="inverted_cdf").tolist()
        return Feature(column.name, column.kind, nullable, quantiles=tuple(quantiles))
    vocabulary = tuple(sorted(set(values) - {""}))
    longest = max(vocabulary, key=len)
    if len(longest) > MAX_TEXT_CHARS:
        raise ConvertError(
            f"feature {column.name!r} has a text of {len(longest)} characters, more than {MAX_TEXT_CHARS}: "
            f"{longest[:64]!r}..."
        )
    return Feature(column.name, column.kind, nullable, vocabulary=vocabulary)


def _compile_by_columns(estimator: Estimator, features: Sequence[Feature], precision: Precision) -> ModelProto:
    """Compiles with an input for each column, and puts tables in front of them that are split into these."""
    number = _NUMBER_TYPES[precision]
    types = [StringTensorType if feature.type == "category" else number for feature in features]
    names = [feature.name for feature in features]
    model = _to_onnx(estimator, [(name, kind([None, 1])) for name, kind in zip(names, types, strict=True)])
    # In the features' order; skl2onnx has changed the names, which need not be such as it likes, and may be a table's.
    given = [column.name for column in model.graph.input]
    del model.graph.input[:]
    splits: list[NodeProto] = []
    for table, element, is_category in (
        (NUMBERS, _ELEMENTS[precision], False),
        (CATEGORIES, TensorProto.STRING, True),
    ):
        columns = [
            name for feature, name in zip(features, given, strict=True) if (feature.type == "category") is is_category
        ]
        if columns:
            model.graph.input.append(helper.make_tensor_value_info(table, element, [None, len(columns)]))
        splits += [_split_off(model, table, column, place) for place, column in enumerate(columns)]
    for split in splits:
        model.graph.node.insert(0, split)
    return model


def _split_off(model: ModelProto, table: str, column: str, place: int) -> NodeProto:
    """Gives the node that takes a column out of a table, and renames the column wherever it is used."""
    # No name of skl2onnx's has a space.
    split, position = f"{table} {place}", f"position of {table} {place}"
    for node in model.graph.node:
        node.input[:] = [split if name == column else name for name in node.input]
    model.graph.initializer.append(helper.make_tensor(position, TensorProto.INT64, [1], [place]))
    # Split by its number of outputs would need opset 18; skl2onnx takes the lowest that a model's operators need.
    return helper.make_node("Gather", [table, position], [split], axis=1)


def _to_onnx(
    estimator: Estimator, inputs: list[tuple[str, FloatTensorType | DoubleTensorType | StringTensorType]]
) -> ModelProto:
    register_converters()
    # ZipMap would give a list of dictionaries a batch; a tensor of probabilities is what can be served fast.
    options = {"zipmap": False} if hasattr(estimator, "classes_") else None
    model: ModelProto = to_onnx(estimator, initial_types=inputs, options=options)
    if hasattr(estimator, "classes_"):
        widen_labels(model, estimator.classes_)
    return model


def _takes_columns(estimator: Estimator) -> bool:
    """Says whether a part of the estimator may ask for columns by name, which one input without names cannot give."""
    return any(isinstance(part, ColumnTransformer) for part in (estimator, *estimator.get_params().values()))


def _sign(
    estimator: Estimator, model: ModelProto, features: tuple[Feature, ...], dataset: Dataset, precision: Precision
) -> Signature:
    categories = sum(feature.type == "category" for feature in features)
    inputs = (
        Tensor(NUMBERS, _INPUT_DATATYPES[precision], (-1, len(features) - categories)),
        Tensor(CATEGORIES, "BYTES", (-1, categories)),
    )
    given = {output.name: _OUTPUT_DATATYPES[output.type.tensor_type.elem_type] for output in model.graph.output}
    labels: tuple[Label, ...] = ()
    shapes: dict[str, tuple[int, ...]] = {VALUE_OUTPUT: (-1, 1)}
    if dataset.task == "classification":
        labels = tuple(estimator.classes_.tolist())
        shapes = dict(zip(OUTPUTS, ((-1,), (-1, len(labels))), strict=True))
    return Signature(
        inputs=tuple(tensor for tensor in inputs if tensor.shape[1]),
        outputs=tuple(Tensor(name, given[name], shape) for name, shape in shapes.items()),
        features=features,
        labels=labels,
    )
