"""Converts HistGradientBoostingClassifier and HistGradientBoostingRegressor, with missing values and categories.

scikit-learn compares a row with thresholds in float64. It adds the leaf values, which include the learning rate, to a
baseline (``sklearn/ensemble/_hist_gradient_boosting``, ``_predictor.pyx`` and ``gradient_boosting.py``).

A categorical branch sends some known categories left and the others right; an unknown one goes where NaN goes. It is
converted to a chain of equality tests for the categories that do not go where NaN goes; all else goes there.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from convert.converters.boosting import Boosted, write_classifier, write_regressor
from convert.converters.converter import classifier, regressor
from convert.converters.leaves import takes_float32
from convert.converters.nodes import Graph
from convert.converters.tree import LEAF, Tree
from convert.errors import ConvertError


def read_boosted(estimator: Any) -> Boosted:
    """Reads a fitted estimator; thresholds are in the units of its input.

    Raises:
        ConvertError: If it has categories that are not numbers.
    """
    # No public attribute holds the trees.
    columns, categories = _columns(estimator), _categories(estimator)
    stages = estimator._predictors  # noqa: SLF001
    return Boosted(
        stages=tuple(tuple(_read_predictor(each, columns, categories) for each in stage) for stage in stages),
        baseline=estimator._baseline_prediction.ravel(),  # noqa: SLF001
        precision=np.float64,
        link=estimator._loss.link,  # noqa: SLF001
        refuses_infinite=False,
    )


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the label and the probabilities of all classes."""
    write_classifier(Graph(scope, container), operator, _for_input(operator))


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes one number per row."""
    write_regressor(Graph(scope, container), operator, _for_input(operator))


def _for_input(operator: Operator) -> Boosted:
    """Reads the estimator; float32 input is compared as float32, which is faster and has the same result."""
    boosted = read_boosted(operator.raw_operator)
    return attrs.evolve(boosted, precision=np.float32) if takes_float32(operator) else boosted


def _columns(estimator: Any) -> npt.NDArray[np.int64]:
    """Returns the input's column for each column of the trees, in which categories come first."""
    if estimator.is_categorical_ is None:
        return np.arange(estimator.n_features_in_)
    return np.argsort(~estimator.is_categorical_, kind="stable")


def _categories(estimator: Any) -> Mapping[int, npt.NDArray[np.float64]]:
    """Returns the known categories of each categorical column, by the trees' index of the column."""
    if estimator.is_categorical_ is None:
        return {}
    known = estimator._preprocessor.named_transformers_["encoder"].categories_  # noqa: SLF001 (no public attribute holds them)
    if texts := [values.tolist()[:3] for values in known if values.dtype.kind not in "biuf"]:
        raise ConvertError(f"expected categories that are numbers, got {texts[0]}")
    return {index: values[~np.isnan(values)] for index, values in enumerate(np.asarray(each, float) for each in known)}


def _read_predictor(
    predictor: Any, columns: npt.NDArray[np.int64], categories: Mapping[int, npt.NDArray[np.float64]]
) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(np.bool_)
    tree = Tree(
        column=columns[nodes["feature_idx"]],
        threshold=nodes["num_threshold"].astype(np.float64),
        equality=np.zeros(len(nodes), dtype=np.bool_),
        yes=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        no=np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
        missing_yes=nodes["missing_go_to_left"].astype(np.bool_),
        value=nodes["value"].astype(np.float64)[:, np.newaxis],
    )
    for node in np.flatnonzero(nodes["is_categorical"].astype(np.bool_) & ~leaf).tolist():
        known = categories[int(nodes["feature_idx"][node])]
        goes_left = _in_bitset(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]], len(known))
        tree = _chain_equalities(tree, node, known[goes_left], known[~goes_left])
    return tree


def _in_bitset(bitset: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.bool_]:
    """Returns whether each of the numbers below `count` is in a bitset of 32-bit words, lowest bit first."""
    number = np.arange(count)
    return (bitset[number // 32] >> (number % 32).astype(np.uint32) & 1).astype(np.bool_)


def _chain_equalities(
    tree: Tree, node: int, go_left: npt.NDArray[np.float64], go_right: npt.NDArray[np.float64]
) -> Tree:
    """Replaces a categorical branch by a chain of branches, one per category that does not go where NaN goes."""
    left, right = tree.yes[node], tree.no[node]
    tested, yes, otherwise = (go_right, right, left) if tree.missing_yes[node] else (go_left, left, right)
    added = len(tree.column) + np.arange(len(tested) - 1)
    chain, count = np.array([node, *added]), len(added)
    grown = Tree(
        column=np.append(tree.column, np.full(count, tree.column[node])),
        threshold=np.append(tree.threshold, np.zeros(count)),
        equality=np.append(tree.equality, np.ones(count, dtype=np.bool_)),
        yes=np.append(tree.yes, np.zeros(count, dtype=np.int64)),
        no=np.append(tree.no, np.zeros(count, dtype=np.int64)),
        missing_yes=np.append(tree.missing_yes, np.zeros(count, dtype=np.bool_)),
        value=np.append(tree.value, np.zeros((count, 1)), axis=0),
    )
    grown.threshold[chain], grown.yes[chain], grown.no[chain] = tested, yes, [*added, otherwise]
    grown.equality[node], grown.missing_yes[node] = True, False
    return grown


CONVERTERS = {
    HistGradientBoostingClassifier: classifier(_convert_classifier, raw_scores=True),
    HistGradientBoostingRegressor: regressor(_convert_regressor),
}
