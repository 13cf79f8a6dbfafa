"""Converts GradientBoostingClassifier and GradientBoostingRegressor.

scikit-learn casts a row to float32, and adds ``learning_rate * value`` of each leaf to the answer of its ``init``
(``sklearn/ensemble/_gradient_boosting.pyx``, ``predict_stages``). With two classes the label is the second if the raw
score is zero or more (``sklearn/ensemble/_gb.py``, ``predict``). Products are rounded before they are added, as in
scikit-learn's wheels for x86-64; a build with fused multiply-add may differ in the last bit of a score.
"""

from typing import Any

import attrs
import numpy as np
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn._loss.link import IdentityLink
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from convert.converters.boosting import Boosted, write_classifier, write_regressor
from convert.converters.converter import classifier, regressor
from convert.converters.nodes import Graph
from convert.converters.tree import Tree, read_tree
from convert.errors import ConvertError

_CONSTANT_STRATEGIES = {"prior", "most_frequent", "constant"}


def read_boosted(estimator: Any) -> Boosted:
    """Reads a fitted estimator.

    Raises:
        ConvertError: If the answer of its ``init`` is not the same for every row.
    """
    if not _is_constant(estimator.init_):
        raise ConvertError(
            f"init={estimator.init_} of {type(estimator).__name__} answers row by row or at random: expected 'zero' or "
            "a dummy that is constant"
        )
    any_row = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    return Boosted(
        stages=tuple(tuple(_scaled(estimator, each) for each in stage) for stage in estimator.estimators_),
        baseline=estimator._raw_predict_init(any_row)[0],  # noqa: SLF001 (no public call returns it without the stages)
        precision=np.float32,
        link=estimator._loss.link if is_classifier(estimator) else IdentityLink(),  # noqa: SLF001 (as above)
        refuses_infinite=True,
    )


def _convert_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes the label and the probabilities of all classes."""
    boosted = read_boosted(operator.raw_operator)
    write_classifier(Graph(scope, container), operator, boosted, last_of_equals=len(boosted.baseline) == 1)


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Writes one number per row."""
    write_regressor(Graph(scope, container), operator, read_boosted(operator.raw_operator))


def _is_constant(init: Any) -> bool:
    if isinstance(init, DummyClassifier):
        return init.strategy in _CONSTANT_STRATEGIES
    return isinstance(init, DummyRegressor) or init == "zero"


def _scaled(estimator: Any, fitted: Any) -> Tree:
    tree = read_tree(fitted.tree_)
    return attrs.evolve(tree, value=estimator.learning_rate * tree.value)


CONVERTERS = {
    GradientBoostingClassifier: classifier(_convert_classifier, raw_scores=True),
    GradientBoostingRegressor: regressor(_convert_regressor),
}
