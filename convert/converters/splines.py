"""Numbers -> B-splines: the polynomial of the interval that a number lies in, by Horner's rule.

Between two knots each B-spline is a polynomial (de Boor, "A Practical Guide to Splines", 1978, chapter IX). Its
coefficients about the left knot are its derivatives there over factorials, which the fitted splines give themselves.
What lies outside the outer knots has two intervals of its own, whose polynomials say how a spline goes on.
"""

import math

import attrs
import numpy as np
import numpy.typing as npt
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.preprocessing import SplineTransformer

from convert.converters.nodes import Graph, count_edges, declare_numbers, number_element, read_doubles

Array = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class _Pieces:
    """One feature's splines, interval by interval, the one below the first knot first.

    Attributes:
        edges: Where all intervals but the first begin, shape ``(intervals - 1,)``.
        origins: What each interval's polynomials are about, shape ``(intervals,)``.
        coefficients: Of the powers from 0, shape ``(degree + 1, intervals, splines)``.
    """

    edges: Array
    origins: Array
    coefficients: Array


def register_converters() -> None:
    """Makes skl2onnx compile `SplineTransformer` by this file."""
    update_registered_converter(SplineTransformer, "SklearnSplineTransformer", _declare, _convert)


def _declare(operator: Operator) -> None:
    declare_numbers(operator, operator.raw_operator.n_features_out_)


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    estimator = operator.raw_operator
    graph = Graph(scope, container)
    values = read_doubles(graph, operator)
    inside = _wrap(graph, values, estimator) if estimator.extrapolation == "periodic" else values
    pieces = [_cut(estimator, feature) for feature in range(estimator.n_features_in_)]
    splines = _evaluate(graph, inside, pieces)
    if estimator.handle_missing == "zeros":
        missing = graph.node("Unsqueeze", graph.node("IsNaN", values), graph.constant([2]))
        splines = graph.node("Where", missing, graph.constant(0.0), splines)
    graph.give(graph.node("Flatten", splines, axis=1), operator.outputs[0].full_name, number_element(operator))


def _cut(estimator: SplineTransformer, feature: int) -> _Pieces:
    """Reads the polynomials off the fitted splines."""
    spline, degree = estimator.bsplines_[feature], estimator.degree
    if not degree:
        raise NotImplementedError("expected splines of degree 1 or more, got 0")
    knots = spline.t[degree : len(spline.t) - degree]
    lefts = knots[:-1]
    inner = np.stack([spline(lefts, nu=power) / math.factorial(power) for power in range(degree + 1)])
    below, above = _go_on(estimator, feature, inner)
    goes_on = estimator.extrapolation not in {"constant", "linear"}
    coefficients = np.concatenate([below, inner, above], axis=1)
    return _Pieces(
        # The last interval holds its right end.
        edges=np.array([*lefts, np.nextafter(knots[-1], np.inf)]),
        origins=np.array([knots[0], *lefts, lefts[-1] if goes_on else knots[-1]]),
        coefficients=coefficients if estimator.include_bias else coefficients[:, :, :-1],
    )


def _go_on(estimator: SplineTransformer, feature: int, inner: Array) -> tuple[Array, Array]:
    """Gives the polynomials below the first knot and above the last, each of shape ``(degree + 1, 1, splines)``.

    They are those of the outer intervals, or constants, or straight lines. Of these last two scikit-learn has only as
    many splines go on as are not 0 at the knot; that any other is 0 there to the last bit is not left to rounding.
    """
    if estimator.extrapolation not in {"constant", "linear"}:
        return inner[:, :1], inner[:, -1:]
    spline, degree = estimator.bsplines_[feature], estimator.degree
    ends = spline.t[[degree, -degree - 1]]
    straight = estimator.extrapolation == "linear"
    going = max(degree, 2) if straight else degree
    below, above = np.zeros_like(inner[:, :1]), np.zeros_like(inner[:, :1])
    for power in range(1 + straight):
        first, last = spline(ends, nu=power)
        below[power, 0, :going] = first[:going]
        above[power, 0, -going:] = last[-going:]
    return below, above


def _wrap(graph: Graph, values: str, estimator: SplineTransformer) -> str:
    """Moves each value by whole periods into the range of its feature's knots, with the roundings of numpy's `%`."""
    outer = np.array([spline.t[[estimator.degree, -estimator.degree - 1]] for spline in estimator.bsplines_])
    start, period = outer[:, 0], outer[:, 1] - outer[:, 0]
    if not period.all():
        raise NotImplementedError("expected features of more than one value for periodic splines")
    remainder = graph.node("Mod", graph.node("Sub", values, graph.constant(start)), graph.constant(period), fmod=1)
    below = graph.node("Less", remainder, graph.constant(0.0))
    positive = graph.node("Where", below, graph.node("Add", remainder, graph.constant(period)), remainder)
    return graph.node("Add", positive, graph.constant(start))


def _evaluate(graph: Graph, values: str, pieces: list[_Pieces]) -> str:
    """Evaluates every feature's splines, shape ``(n, features, splines)``."""
    intervals = len(pieces[0].origins)
    within = count_edges(graph, values, np.stack([piece.edges for piece in pieces]))
    interval = graph.node("Add", within, graph.constant(np.arange(len(pieces)) * intervals))
    origin = graph.node("Gather", graph.constant(np.concatenate([piece.origins for piece in pieces])), interval)
    distance = graph.node("Unsqueeze", graph.node("Sub", values, origin), graph.constant([2]))
    # powers from the highest, each for all features' intervals one after the other
    tables = np.concatenate([piece.coefficients for piece in pieces], axis=1)[::-1]
    highest, *others = (graph.node("Gather", graph.constant(table), interval) for table in tables)
    total = highest
    for coefficient in others:
        total = graph.node("Add", graph.node("Mul", total, distance), coefficient)
    return total
