"""Registers the converters of this package with skl2onnx, in place of its own."""

from collections.abc import Mapping

from skl2onnx import update_registered_converter

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
from convert.converters.converter import Converter

CONVERTERS: Mapping[type, Converter] = {
    **encoding.CONVERTERS,
    **forest.CONVERTERS,
    **gradient_boosting.CONVERTERS,
    **hist_gradient_boosting.CONVERTERS,
    **imputation.CONVERTERS,
    **intervals.CONVERTERS,
    **neighbours.CONVERTERS,
    **polynomials.CONVERTERS,
    **splines.CONVERTERS,
    **support_vectors.CONVERTERS,
}


def register_converters() -> None:
    """Registers all converters; a second call changes nothing."""
    for kind, converter in CONVERTERS.items():
        update_registered_converter(
            kind,
            f"Sklearn{kind.__name__}",
            converter.declare,
            converter.write,
            parser=converter.parse,
            options=converter.options,
        )
