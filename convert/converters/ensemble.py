"""Builds one TreeEnsembleRegressor node of several trees, and the table of their leaf values.

The node adds nothing: each tree is a target of its own, and its output is the index of its leaf's value in the table.
onnxruntime adds the trees of one target in its input's precision, in an order that depends on threads and rows; an
index it only passes on. Later nodes look the leaf values up and add them in float64, in the order of the trees.
"""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from convert.converters.tree import Tree
from convert.errors import ConvertError

MAX_LEAF_VALUES = 2**24
"""Integers up to this are exact in float32 (IEEE 754), the type of the node's output."""

Precision = type[np.float32] | type[np.float64]


@attrs.frozen(eq=False)
class Ensemble:
    """Trees as ONNX represents them.

    Attributes:
        attributes: The attributes of a TreeEnsembleRegressor of ai.onnx.ml 3.
        table: The distinct leaf values, float64 of shape ``(values, outputs)``.
    """

    attributes: dict[str, Any]
    table: npt.NDArray[np.float64]


def build_ensemble(trees: Sequence[Tree], precision: Precision) -> Ensemble:
    """Builds the node's attributes and the table.

    Args:
        trees: Trees of the same number of outputs.
        precision: The type of the node's input, in which it compares.

    Raises:
        ConvertError: If the value of an equality is not exact in the precision, or there are too many leaf values.
    """
    values = np.vstack([tree.value[tree.is_leaf] for tree in trees])
    table, indices = np.unique(values, axis=0, return_inverse=True)
    if len(table) > MAX_LEAF_VALUES:
        raise ConvertError(f"expected at most {MAX_LEAF_VALUES} different leaves, got {len(table)}")
    blocks = [_nodes(tree, number, precision) for number, tree in enumerate(trees)]
    nodes = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    leaves = nodes["nodes_modes"] == "LEAF"
    targets = {
        "target_nodeids": nodes["nodes_nodeids"][leaves],
        "target_treeids": nodes["nodes_treeids"][leaves],
        "target_ids": nodes["nodes_treeids"][leaves],
        "target_weights_as_tensor": indices.ravel().astype(precision),
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
    """Returns each threshold in a precision, such that ``x <= threshold`` is the same for every x of that precision.

    For float32 that is the largest float32 that is not greater than the float64 threshold.
    """
    thresholds = np.where(tree.is_leaf, 0.0, tree.threshold)
    with np.errstate(over="ignore"):  # a threshold beyond float32 becomes infinite, and the step down makes it finite
        nearest = thresholds.astype(precision)
    if (inexact := tree.equality & (nearest != thresholds)).any():
        at = int(inexact.argmax())
        raise ConvertError(f"category {thresholds[at]} of column {tree.column[at]} is no {precision.__name__}")
    return np.where(nearest > thresholds, np.nextafter(nearest, precision(-np.inf)), nearest)


def _attribute(name: str, values: npt.NDArray[Any]) -> Any:
    return numpy_helper.from_array(values) if name.endswith("_as_tensor") else values.tolist()
