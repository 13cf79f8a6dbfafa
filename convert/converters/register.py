"""skl2onnx's registry <- the converters of this folder; knows what is converted by which, and no more."""

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from convert.converters import (
    encoding,
    forest,
    gradient_boosting,
    hist_gradient_boosting,
    imputation,
    intervals,
    neighbours,
    polynomials,
    splines,
    support_vectors,
)

Converter = Callable[[Any, Any, Any], None]

CLASSIFIERS: dict[type, Converter] = {
    DecisionTreeClassifier: forest.convert_classifier,
    ExtraTreeClassifier: forest.convert_classifier,
    ExtraTreesClassifier: forest.convert_classifier,
    GradientBoostingClassifier: gradient_boosting.convert_classifier,
    HistGradientBoostingClassifier: hist_gradient_boosting.convert_classifier,
    RandomForestClassifier: forest.convert_classifier,
}
REGRESSORS: dict[type, Converter] = {
    DecisionTreeRegressor: forest.convert_regressor,
    ExtraTreeRegressor: forest.convert_regressor,
    ExtraTreesRegressor: forest.convert_regressor,
    GradientBoostingRegressor: gradient_boosting.convert_regressor,
    HistGradientBoostingRegressor: hist_gradient_boosting.convert_regressor,
    RandomForestRegressor: forest.convert_regressor,
}
OTHERS = (encoding, imputation, intervals, neighbours, polynomials, splines, support_vectors)
"""Files that say themselves what they convert."""
BOOSTERS = (GradientBoostingClassifier, HistGradientBoostingClassifier)


def register_converters() -> None:
    """Puts these converters in the place of skl2onnx's own; a second time changes nothing."""
    for kind, convert in CLASSIFIERS.items():
        options: dict[str, list[Any]] = {
            "zipmap": [True, False, "columns"],
            # skl2onnx asks after these two of every classifier.
            "nocl": [False],
            "output_class_labels": [False],
        }
        if kind in BOOSTERS:
            # A calibrated classifier is asked for raw scores where it has this option, for probabilities where not.
            options["raw_scores"] = [True, False]
        _register(kind, convert, _shape_classifier, options)
    for kind, convert in REGRESSORS.items():
        _register(kind, convert, calculate_linear_regressor_output_shapes, {})
    for family in OTHERS:
        family.register_converters()


def _shape_classifier(operator: Any) -> None:
    """Shapes both outputs, and gives float64 probabilities for float64 input; skl2onnx makes a forest's float32."""
    calculate_linear_classifier_output_shapes(operator)
    probabilities = operator.outputs[1]
    if isinstance(operator.inputs[0].type, DoubleTensorType):
        probabilities.set_type(DoubleTensorType(probabilities.type.shape))


def _register(kind: type, convert: Converter, shapes: Callable[[Any], None], options: dict[str, list[Any]]) -> None:
    update_registered_converter(kind, f"Sklearn{kind.__name__}", shapes, convert, options=options)
