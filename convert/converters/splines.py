"""Converts SplineTransformer: B-splines by the recurrence of scipy, and rounded as scipy rounds them.

In an interval between knots at most k + 1 B-splines of degree k are not 0. They are computed level by level from that
of degree 0 (de Boor, "A Practical Guide to Splines", 1978, chapter X; ``_deBoor_D`` in scipy's ``interpolate``). Every
level is rounded as it is there, so that trees behind splines split rows at the same bit.

Outside the outer knots a spline is extrapolated by its outer interval's polynomial, a constant or a straight line.
"""

import numpy as np
import numpy.typing as npt
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.preprocessing import SplineTransformer

from convert.converters.converter import Converter
from convert.converters.nodes import Graph, count_edges, declare_numbers, number_element, read_doubles

Array = npt.NDArray[np.float64]


def _declare(operator: Operator) -> None:
    declare_numbers(operator, operator.raw_operator.n_features_out_)


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    estimator = operator.raw_operator
    if not estimator.degree:
        raise NotImplementedError("expected splines of degree 1 or more, got 0")
    graph = Graph(scope, container)
    values = read_doubles(graph, operator)
    inside = _wrap(graph, values, estimator) if estimator.extrapolation == "periodic" else values
    splines = _evaluate(graph, inside, estimator)
    if estimator.extrapolation in {"constant", "linear"}:
        splines = _extrapolate(graph, values, splines, estimator)
    if estimator.handle_missing == "zeros":
        missing = graph.node("Unsqueeze", graph.node("IsNaN", values), graph.constant([2]))
        splines = graph.node("Where", missing, graph.constant(0.0), splines)
    if not estimator.include_bias:
        splines = graph.node("Slice", splines, *map(graph.constant, ([0], [-1], [2])))
    graph.output(graph.node("Flatten", splines, axis=1), operator.outputs[0].full_name, number_element(operator))


def _evaluate(graph: Graph, values: str, estimator: SplineTransformer) -> str:
    """Writes the values of every feature's splines, shape ``(n, features, splines)``."""
    degree, knots = estimator.degree, np.stack([spline.t for spline in estimator.bsplines_])
    first = degree + np.arange(knots.shape[1] - 2 * degree - 1)
    # Intervals are numbered through all features. The last one includes its right end and everything beyond.
    within = count_edges(graph, values, knots[:, first[1:]])
    interval = graph.node("Add", within, graph.constant(np.arange(len(knots)) * len(first)))
    value, splines = graph.node("Unsqueeze", values, graph.constant([2])), ""
    for level in range(1, degree + 1):
        beyond = first[:, np.newaxis] + np.arange(1, level + 1)
        splines = _raise_degree(graph, splines, value, interval, (knots[:, beyond - level], knots[:, beyond]))
    reached = (first[:, np.newaxis] - degree + np.arange(degree + 1)) % _count(estimator)
    columns = graph.node("Gather", graph.constant(np.tile(reached, (len(knots), 1))), interval)
    shape = graph.node("Concat", graph.node("Shape", interval), graph.constant([_count(estimator)]), axis=0)
    nothing = graph.node("Expand", graph.constant(0.0), shape)
    return graph.node("ScatterElements", nothing, columns, splines, axis=2, reduction="add")


def _raise_degree(graph: Graph, splines: str, value: str, interval: str, knots: tuple[Array, Array]) -> str:
    """Writes the splines of a degree, shape ``(n, features, degree + 1)``, from those of one degree less.

    Args:
        graph: The graph to write to.
        splines: Those of one degree less, shape ``(n, features, degree)``; empty for the one of degree 0, which is 1.
        value: The points of evaluation, shape ``(n, features, 1)``.
        interval: The index of the interval of each point.
        knots: The first and last knots of those splines, both of shape ``(features, intervals, degree)``.
    """
    left, right = knots
    spans = right - left
    # For coinciding knots scipy's result is 0, as that of a division by infinity.
    spans[spans == 0] = np.inf
    degree = right.shape[2]
    ends, begins, lengths = (
        graph.node("Gather", graph.constant(table.reshape(-1, degree)), interval) for table in (right, left, spans)
    )
    share = graph.node("Div", splines or graph.constant(1.0), lengths)
    falling = graph.node("Mul", share, graph.node("Sub", ends, value))
    rising = graph.node("Mul", share, graph.node("Sub", value, begins))
    before, after = graph.constant([0, 0, 1, 0, 0, 0]), graph.constant([0, 0, 0, 0, 0, 1])
    return graph.node("Add", graph.node("Pad", rising, before), graph.node("Pad", falling, after))


def _count(estimator: SplineTransformer) -> int:
    """Returns the number of splines of a feature; periodic splines wrap around to the first ones."""
    count: int = estimator.bsplines_[0].c.shape[1]
    return count


def _extrapolate(graph: Graph, values: str, splines: str, estimator: SplineTransformer) -> str:
    """Extrapolates splines by constants or straight lines below the first knot and above the last.

    scikit-learn extrapolates only the splines that are not 0 at the knot. All others are set to 0 exactly, whatever
    their rounded value.
    """
    degree, straight = estimator.degree, estimator.extrapolation == "linear"
    going = max(degree, 2) if straight else degree
    value = graph.node("Unsqueeze", values, graph.constant([2]))
    kept = [np.arange(_count(estimator)) < going, np.arange(_count(estimator)) >= _count(estimator) - going]
    for side, is_beyond, is_going in zip((degree, -degree - 1), ("Less", "Greater"), kept, strict=True):
        ends = np.array([spline.t[side] for spline in estimator.bsplines_])
        levels, slopes = (
            np.stack([spline(end, nu=power) for spline, end in zip(estimator.bsplines_, ends, strict=True)]) * is_going
            for power in (0, 1)
        )
        end = graph.constant(ends[:, np.newaxis])
        line = graph.constant(levels)
        if straight:
            rise = graph.node("Mul", graph.node("Sub", value, end), graph.constant(slopes))
            line = graph.node("Add", line, rise)
        splines = graph.node("Where", graph.node(is_beyond, value, end), line, splines)
    return splines


def _wrap(graph: Graph, values: str, estimator: SplineTransformer) -> str:
    """Moves each value by whole periods into the range of its feature's knots, rounded as numpy's `%` rounds."""
    outer = np.array([spline.t[[estimator.degree, -estimator.degree - 1]] for spline in estimator.bsplines_])
    start, period = outer[:, 0], outer[:, 1] - outer[:, 0]
    if not period.all():
        raise NotImplementedError("expected features of more than one value for periodic splines")
    remainder = graph.node("Mod", graph.node("Sub", values, graph.constant(start)), graph.constant(period), fmod=1)
    below = graph.node("Less", remainder, graph.constant(0.0))
    positive = graph.node("Where", below, graph.node("Add", remainder, graph.constant(period)), remainder)
    return graph.node("Add", positive, graph.constant(start))


CONVERTERS = {SplineTransformer: Converter(_declare, _convert)}
