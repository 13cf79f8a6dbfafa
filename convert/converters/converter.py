"""Converter: the functions by which skl2onnx compiles one class of estimator."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

Declare = Callable[[Operator], None]
Write = Callable[[Scope, Operator, ModelComponentContainer], None]
Parse = Callable[[Scope, Any, list[Variable], Mapping[type, Any] | None], list[Variable]]


@attrs.frozen
class Converter:
    """Compiles one class of estimator.

    Attributes:
        declare: Sets the types and shapes of the operator's outputs.
        write: Writes the operator's nodes.
        options: The options that skl2onnx may ask for, each with the values that are allowed.
        parse: Adds the operator and its outputs to the topology; None leaves that to skl2onnx.
    """

    declare: Declare
    write: Write
    options: dict[str, list[Any]] | None = None
    parse: Parse | None = None


def classifier(write: Write, *, raw_scores: bool = False) -> Converter:
    """Returns the converter of a classifier, whose outputs are a label and the probabilities of all classes.

    Args:
        write: Writes the nodes.
        raw_scores: True if `write` can give raw scores in place of probabilities. `CalibratedClassifierCV` asks a
            classifier that has this option for raw scores, and any other for probabilities.
    """
    options: dict[str, list[Any]] = {
        "zipmap": [True, False, "columns"],
        # skl2onnx reads these two of every classifier.
        "nocl": [False],
        "output_class_labels": [False],
    }
    if raw_scores:
        options["raw_scores"] = [True, False]
    return Converter(_declare_classifier, write, options)


def regressor(write: Write) -> Converter:
    """Returns the converter of a regressor, whose output is one number a row."""
    return Converter(calculate_linear_regressor_output_shapes, write)


def _declare_classifier(operator: Operator) -> None:
    """Sets the shapes of both outputs, and float64 probabilities for float64 input.

    skl2onnx declares those of a forest as float32 whatever the input is.
    """
    calculate_linear_classifier_output_shapes(operator)
    probabilities = operator.outputs[1]
    if isinstance(operator.inputs[0].type, DoubleTensorType):
        probabilities.set_type(DoubleTensorType(probabilities.type.shape))
