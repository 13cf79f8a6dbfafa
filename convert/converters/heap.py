"""Breaks ties between rows as far as the k-th neighbour as scikit-learn does, by repeating its heap.

`heap_push` of sklearn/utils/_heap.pyx keeps the k smallest distances of a scan over all rows in a max-heap. A row that
is nearer than the root replaces it. If several rows are equally far, and farthest, the heap's history decides which of
them is the root. So a loop over rows repeats that history. It runs only for queries whose k-th neighbour and the next
one are equally far, and only if the choice can change an answer.
"""

import math

import attrs
import numpy as np
import numpy.typing as npt
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from convert.converters.nodes import Graph


@attrs.frozen(eq=False)
class Search:
    """A search for the nearest of the known rows.

    Attributes:
        squares: Name of the squared distances to all known rows, shape ``(n, known)``.
        count: The number of neighbours, less than the number of known rows.
        targets: The known rows' targets, shape ``(known,)``.
    """

    squares: str
    count: int
    targets: npt.NDArray[np.float64]


@attrs.frozen
class _Heap:
    """A max-heap for each query.

    The heap's slots are followed by as many slots of minus infinity, so that every slot has children.

    Attributes:
        distances: Name of the distances, shape ``(m, 2 k + 1)``.
        rows: Name of the rows' positions, the same shape.
    """

    distances: str
    rows: str


def break_ties(graph: Graph, search: Search, nearest: str, rows: str) -> tuple[str, str]:
    """Writes the choice between equally far rows that scikit-learn's scan over all rows makes.

    Args:
        graph: The graph to write to.
        search: The search.
        nearest: The smallest squared distances and the next one, ascending, shape ``(n, count + 1)``.
        rows: The rows' positions.

    Returns:
        Names of the squared distances, ascending, and of the positions of the neighbours, both ``(n, count)``.
    """
    split = graph.constant([search.count, 1])
    kept, after = graph.nodes("Split", nearest, split, outputs=2, axis=1)
    first = graph.nodes("Split", rows, split, outputs=2, axis=1)[0]
    last = graph.node("Slice", kept, *map(graph.constant, ([search.count - 1], [search.count], [1])))
    tied = graph.node("Equal", last, after)
    chosen = graph.node(
        "If",
        _is_any(graph, tied),
        then_branch=_branch(*_choose_again(graph.body(), search, tied, last, first)),
        else_branch=_branch(*_keep(graph.body(), first)),
    )
    return kept, chosen


def _is_any(graph: Graph, conditions: str) -> str:
    found = graph.node("ReduceMax", graph.node("Cast", conditions, to=TensorProto.INT64), keepdims=0)
    return graph.node("Cast", found, to=TensorProto.BOOL)


def _choose_again(graph: Graph, search: Search, tied: str, last: str, first: str) -> tuple[Graph, str]:
    """Scans for the queries whose equally far rows differ in their targets, and keeps the rows of all others."""
    targets, axis = graph.constant(search.targets[np.newaxis]), graph.constant([1])
    equally_far = graph.node("Equal", search.squares, last)
    least = graph.node("ReduceMin", graph.node("Where", equally_far, targets, graph.constant(math.inf)), axis)
    most = graph.node("ReduceMax", graph.node("Where", equally_far, targets, graph.constant(-math.inf)), axis)
    contested = graph.node("Squeeze", graph.node("And", tied, graph.node("Less", least, most)), axis)
    queries = graph.node("Transpose", graph.node("NonZero", contested), perm=[1, 0])
    of_queries = attrs.evolve(search, squares=graph.node("GatherND", search.squares, queries))
    return graph, graph.node("ScatterND", first, queries, _scan(graph, of_queries))


def _scan(graph: Graph, search: Search) -> str:
    """Pushes rows in order, and returns the positions of those that stay, the nearest first."""
    count = search.count
    queries = graph.node("Slice", graph.node("Shape", search.squares), graph.constant([0]), graph.constant([1]))
    shape = graph.node("Concat", queries, graph.constant([1]), axis=0)
    empty = [[math.inf] * count + [-math.inf] * (count + 1)]
    heap = _Heap(
        graph.node("Expand", graph.constant(empty), shape),
        graph.node("Expand", graph.constant([[0] * (2 * count + 1)]), shape),
    )
    candidates = _choose_candidates(graph, search)
    any_query = graph.node("Min", queries, graph.constant([1]))
    turns = graph.node("Squeeze", graph.node("Mul", any_query, graph.node("Shape", candidates)))
    body = _make_body(graph, search, candidates)
    kept = graph.nodes("Loop", turns, graph.constant(np.True_), heap.distances, heap.rows, outputs=2, body=body)
    slots = [graph.constant([0]), graph.constant([count]), graph.constant([1])]
    distances, rows = (graph.node("Slice", values, *slots) for values in kept)
    order = graph.nodes("TopK", distances, graph.constant([count]), outputs=2, largest=0)[1]
    return graph.node("GatherElements", rows, order, axis=1)


def _choose_candidates(graph: Graph, search: Search) -> str:
    """Writes the positions of the rows that may enter a heap, ascending.

    After the first rows only a row that is nearer than the k-th of these may. With sqrt(k known) first rows about as
    many others remain, if the rows are in random order.
    """
    squares, count, known = search.squares, search.count, len(search.targets)
    first = min(known, count + math.isqrt(count * known))
    start, stop, axis = graph.constant([0]), graph.constant([first]), graph.constant([1])
    least = graph.nodes(
        "TopK", graph.node("Slice", squares, start, stop, axis), graph.constant([count]), outputs=2, largest=0
    )[0]
    bound = graph.node("Slice", least, graph.constant([count - 1]), graph.constant([count]), axis)
    nearer = graph.node("Cast", graph.node("Less", squares, bound), to=TensorProto.INT64)
    anywhere = graph.node("Cast", graph.node("ReduceSum", nearer, start, keepdims=0), to=TensorProto.BOOL)
    may_enter = graph.node("Or", anywhere, graph.constant(np.arange(known) < first))
    return graph.node("Squeeze", graph.node("NonZero", may_enter), start)


def _make_body(outer: Graph, search: Search, candidates: str) -> GraphProto:
    """Returns the loop's body: a row enters the heaps of the queries whose root is farther."""
    graph = outer.body()
    turn, going, distances, rows = (outer.name(stem) for stem in ("turn", "going", "distances", "rows"))
    heap = _Heap(distances, rows)
    row = graph.node("Gather", candidates, graph.node("Unsqueeze", turn, graph.constant([0])))
    distance = graph.node("Gather", search.squares, row, axis=1)
    root = graph.node("Slice", distances, *map(graph.constant, ([0], [1], [1])))
    enters = graph.node("Less", distance, root)
    kept = graph.nodes(
        "If",
        _is_any(graph, enters),
        outputs=2,
        then_branch=_branch(*_push(graph.body(), heap, _Heap(distance, row), enters, search.count)),
        else_branch=_branch(*_keep(graph.body(), heap.distances, heap.rows)),
    )
    inputs = [
        helper.make_tensor_value_info(turn, TensorProto.INT64, []),
        helper.make_tensor_value_info(going, TensorProto.BOOL, []),
        helper.make_tensor_value_info(distances, TensorProto.DOUBLE, None),
        helper.make_tensor_value_info(rows, TensorProto.INT64, None),
    ]
    onward = helper.make_tensor_value_info(graph.node("Identity", going), TensorProto.BOOL, [])
    return helper.make_graph(graph.written(), "scan", inputs, [onward, *_describe(*kept)])


def _keep(graph: Graph, *values: str) -> tuple[Graph, *tuple[str, ...]]:
    """Writes values unchanged, as a branch that changes nothing must."""
    return graph, *(graph.node("Identity", value) for value in values)


def _push(graph: Graph, heap: _Heap, entry: _Heap, enters: str, count: int) -> tuple[Graph, str, str]:
    """Replaces the root by a row, and sifts it down below every farther row."""
    slot = graph.node("Mul", graph.node("Cast", enters, to=TensorProto.INT64), graph.constant([[0]]))
    entry = _Heap(entry.distances, graph.node("Add", slot, entry.rows))
    heap, sinking = _put(graph, heap, slot, enters, entry), enters
    for _ in range(count.bit_length() - 1):
        left = graph.node("Add", graph.node("Mul", slot, graph.constant([[2]])), graph.constant([[1]]))
        right = graph.node("Add", left, graph.constant([[1]]))
        of_left = graph.node("GatherElements", heap.distances, left, axis=1)
        of_right = graph.node("GatherElements", heap.distances, right, axis=1)
        child = graph.node("Where", graph.node("GreaterOrEqual", of_left, of_right), left, right)
        farther = _Heap(graph.node("Max", of_left, of_right), graph.node("GatherElements", heap.rows, child, axis=1))
        sinking = graph.node("And", sinking, graph.node("Less", entry.distances, farther.distances))
        heap = _put(graph, heap, slot, sinking, farther)
        heap = _put(graph, heap, child, sinking, entry)
        slot = graph.node("Where", sinking, child, slot)
    return graph, heap.distances, heap.rows


def _put(graph: Graph, heap: _Heap, slot: str, where: str, entry: _Heap) -> _Heap:
    """Writes an entry to a slot of each query's heap, for the queries that `where` selects."""
    kept = [
        graph.node(
            "ScatterElements",
            values,
            slot,
            graph.node("Where", where, entered, graph.node("GatherElements", values, slot, axis=1)),
            axis=1,
        )
        for values, entered in ((heap.distances, entry.distances), (heap.rows, entry.rows))
    ]
    return _Heap(*kept)


def _branch(graph: Graph, *values: str) -> GraphProto:
    """Returns a branch with these outputs: positions, or distances and positions."""
    return helper.make_graph(graph.written(), "branch", [], _describe(*values))


def _describe(*values: str) -> list[ValueInfoProto]:
    elements = (TensorProto.DOUBLE, TensorProto.INT64)[-len(values) :]
    return [
        helper.make_tensor_value_info(value, element, None) for value, element in zip(values, elements, strict=True)
    ]
