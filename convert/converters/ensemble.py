"""Trees -> the attributes of one TreeEnsembleRegressor node and the table of what their leaves say.

The node does not add anything up: each tree is a target of its own and answers the place of its leaf in the table.
onnxruntime adds the trees of one target in an order that depends on threads and rows, and in its input's precision; a
place it can only pass on. What the leaves say is looked up and added in float64 by later nodes, in the trees' order.
"""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from convert.converters.tree import Tree
from convert.errors import ConvertError

MAX_PLACES = 2**24
"""Whole numbers up to this are float32 numbers (IEEE 754), which is what the node answers in."""

Precision = type[np.float32] | type[np.float64]


@attrs.frozen(eq=False)
class Ensemble:
    """Trees in the terms of ONNX.

    Attributes:
        attributes: Those of a TreeEnsembleRegressor of ai.onnx.ml 3.
        table: float64 of shape ``(places, outputs)``: all that leaves say, each once.
    """

    attributes: dict[str, Any]
    table: npt.NDArray[np.float64]


def build_ensemble(trees: Sequence[Tree], precision: Precision) -> Ensemble:
    """Builds the node's attributes for an input of a precision.

    Args:
        trees: Trees of the same number of outputs.
        precision: In which the node compares: that of its input.

    Raises:
        ConvertError: If an equality asks for what the precision has not, or leaves say too much to number.
    """
    said = np.vstack([tree.value[tree.is_leaf] for tree in trees])
    table, places = np.unique(said, axis=0, return_inverse=True)
    if len(table) > MAX_PLACES:
        raise ConvertError(f"expected at most {MAX_PLACES} different leaves, got {len(table)}")
    blocks = [_nodes(tree, number, precision) for number, tree in enumerate(trees)]
    nodes = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    leaves = nodes["nodes_modes"] == "LEAF"
    targets = {
        "target_nodeids": nodes["nodes_nodeids"][leaves],
        "target_treeids": nodes["nodes_treeids"][leaves],
        "target_ids": nodes["nodes_treeids"][leaves],
        "target_weights_as_tensor": places.ravel().astype(precision),
    }
    attributes = {name: _attribute(name, values) for name, values in (nodes | targets).items()}
    return Ensemble(attributes={"n_targets": len(trees), **attributes}, table=table)


def _nodes(tree: Tree, number: int, precision: Precision) -> dict[str, npt.NDArray[Any]]:
    count = len(tree.column)
    return {
        "nodes_treeids": np.full(count, number),
        "nodes_nodeids": np.arange(count),
        "nodes_modes": np.where(tree.is_leaf, "LEAF", np.where(tree.equality, "BRANCH_EQ", "BRANCH_LEQ")),
        "nodes_featureids": np.where(tree.is_leaf, 0, tree.column),
        "nodes_values_as_tensor": _thresholds(tree, precision),
        "nodes_truenodeids": np.where(tree.is_leaf, 0, tree.yes),
        "nodes_falsenodeids": np.where(tree.is_leaf, 0, tree.no),
        "nodes_missing_value_tracks_true": tree.missing_yes.astype(np.int64),
    }


def _thresholds(tree: Tree, precision: Precision) -> npt.NDArray[Any]:
    """Gives each threshold in a precision, so that its numbers answer as they would answer the float64 threshold.

    The largest float32 that is no greater than the threshold parts the float32 numbers where the threshold does.
    """
    asked = np.where(tree.is_leaf, 0.0, tree.threshold)
    with np.errstate(over="ignore"):  # a threshold beyond float32 becomes infinite, and the step down makes it finite
        nearest = asked.astype(precision)
    if (unlike := tree.equality & (nearest != asked)).any():
        at = int(unlike.argmax())
        raise ConvertError(f"category {asked[at]} of column {tree.column[at]} is no {precision.__name__}")
    return np.where(nearest > asked, np.nextafter(nearest, precision(-np.inf)), nearest)


def _attribute(name: str, values: npt.NDArray[Any]) -> Any:
    return numpy_helper.from_array(values) if name.endswith("_as_tensor") else values.tolist()
