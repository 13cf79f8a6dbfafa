"""Estimator + dataset -> ONNX bytes and Signature: the only importer of skl2onnx; it proves nothing."""

import attrs
import pandas as pd
from onnx import ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer

from convert.errors import ConvertError
from server.signature import MAX_FP32, Feature, Label, Signature, Tensor
from training.estimators import Estimator

INPUT, LABEL_OUTPUT, PROBABILITY_OUTPUT = "features", "label", "probabilities"


@attrs.frozen
class Compiled:
    """A compiled model.

    Attributes:
        model: ONNX bytes.
        signature: What it takes and gives.
    """

    model: bytes
    signature: Signature


def export(estimator: Estimator, features: pd.DataFrame) -> Compiled:
    """Compiles a fitted classifier.

    Args:
        estimator: The fitted estimator.
        features: The rows it was fitted on, for the names and ranges of its features.

    Raises:
        ConvertError: If skl2onnx cannot compile it, or a feature's values are beyond FP32.
    """
    signature = _sign(estimator, features)
    try:
        model = (
            _compile_by_columns(estimator, signature) if _takes_columns(estimator) else _compile(estimator, signature)
        )
    except Exception as error:
        raise ConvertError(f"skl2onnx cannot compile {type(estimator).__name__}: {error}") from error
    return Compiled(model=model.SerializeToString(), signature=signature)


def _compile(estimator: Estimator, signature: Signature) -> ModelProto:
    return _to_onnx(estimator, [(INPUT, FloatTensorType([None, len(signature.features)]))])


def _compile_by_columns(estimator: Estimator, signature: Signature) -> ModelProto:
    """Compiles with an input for each column, and puts one table in front of them that is split into these."""
    model = _to_onnx(estimator, [(feature.name, FloatTensorType([None, 1])) for feature in signature.features])
    columns = [column.name for column in model.graph.input]
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(columns)]))
    for place, column in enumerate(columns):
        # Split by its number of outputs would need opset 18; skl2onnx takes the lowest that a model's operators need.
        position = f"{column} position"
        model.graph.initializer.append(helper.make_tensor(position, TensorProto.INT64, [1], [place]))
        model.graph.node.insert(place, helper.make_node("Gather", [INPUT, position], [column], axis=1))
    return model


def _to_onnx(estimator: Estimator, inputs: list[tuple[str, FloatTensorType]]) -> ModelProto:
    # ZipMap would give a list of dictionaries a batch; a tensor of probabilities is what can be served fast.
    model: ModelProto = to_onnx(estimator, initial_types=inputs, options={"zipmap": False})
    return model


def _takes_columns(estimator: Estimator) -> bool:
    """Says whether a part of the estimator may ask for columns by name, which one input without names cannot give."""
    return any(isinstance(part, ColumnTransformer) for part in (estimator, *estimator.get_params().values()))


def _sign(estimator: Estimator, features: pd.DataFrame) -> Signature:
    labels: tuple[Label, ...] = tuple(estimator.classes_.tolist())
    return Signature(
        inputs=(Tensor(INPUT, "FP32", (-1, features.shape[1])),),
        outputs=(
            Tensor(LABEL_OUTPUT, "INT64" if isinstance(labels[0], int) else "BYTES", (-1,)),
            Tensor(PROBABILITY_OUTPUT, "FP32", (-1, len(labels))),
        ),
        features=tuple(_feature(str(name), features[name]) for name in features.columns),
        labels=labels,
    )


def _feature(name: str, values: pd.Series) -> Feature:
    minimum, maximum = float(values.min()), float(values.max())
    if max(abs(minimum), abs(maximum)) > MAX_FP32:
        raise ConvertError(f"feature {name!r} has values from {minimum} to {maximum}: beyond FP32 (±{MAX_FP32:.7e})")
    return Feature(name=name, type="number", nullable=False, minimum=minimum, maximum=maximum)
