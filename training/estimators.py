"""Named estimators, and those of the user: each is made unfitted, in a pipeline that suits the table's columns."""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from sklearn.calibration import CalibratedClassifierCV
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
from sklearn.linear_model import BayesianRidge, LogisticRegressionCV, Ridge
from sklearn.model_selection import ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from training.columns import Column
from training.dataset import Task
from training.errors import TrainingError
from training.pipelines import Expansion, Needs, make_pipeline

Estimator = Any
"""An estimator with scikit-learn's interface, fitted or not. scikit-learn has no static type for it."""

_PLAIN_SCAN: Mapping[str, Any] = {"algorithm": "kd_tree", "leaf_size": 1_000_000}
"""A k-d tree with all rows in one leaf: ties between equally distant neighbours do not depend on the tree's shape."""
_CHOSEN_C: Mapping[str, Any] = {
    "Cs": (0.1, 1.0, 10.0),
    "cv": ShuffleSplit(n_splits=5, test_size=0.2, random_state=0),
    "scoring": "neg_log_loss",
    "l1_ratios": (0.0,),
    "use_legacy_attributes": False,
}
"""The strength of the L2 penalty is chosen by log loss in cross-validation within the training rows.

No fixed C suits all tables: `just regularisation` compares them. Plain shuffled splits take any two rows or more;
stratified folds refuse a table whose classes all have fewer rows than there are folds.
"""
_TREE = Needs(filled=False)
_FILLED = Needs()
_SCALED = Needs(scaled=True)
_UNKNOWN = Needs()

_Maker = Callable[[], Estimator]
_MAKERS: Mapping[Task, Mapping[str, tuple[_Maker, Needs]]] = {
    "classification": {
        "log_reg": (lambda: LogisticRegressionCV(solver="newton-cholesky", **_CHOSEN_C), _SCALED),
        "decision_tree": (DecisionTreeClassifier, _TREE),
        "random_forest": (RandomForestClassifier, _TREE),
        "extra_trees": (ExtraTreesClassifier, _TREE),
        "gradient_boosting": (GradientBoostingClassifier, _FILLED),
        "hist_gradient_boosting": (HistGradientBoostingClassifier, Needs(filled=False, codes=True)),
        # One sigmoid over the margins of all rows: probabilities whose largest is the label.
        "svc": (lambda: CalibratedClassifierCV(SVC(), ensemble=False), _SCALED),
        "knn": (lambda: KNeighborsClassifier(**_PLAIN_SCAN), _SCALED),
        "gaussian_nb": (GaussianNB, _FILLED),
        "mlp": (lambda: MLPClassifier(max_iter=1000), _SCALED),
    },
    "regression": {
        "ridge": (Ridge, _SCALED),
        "bayesian_ridge": (BayesianRidge, _SCALED),
        "decision_tree": (DecisionTreeRegressor, _TREE),
        "random_forest": (RandomForestRegressor, _TREE),
        "extra_trees": (ExtraTreesRegressor, _TREE),
        "gradient_boosting": (GradientBoostingRegressor, _FILLED),
        "hist_gradient_boosting": (HistGradientBoostingRegressor, Needs(filled=False, codes=True)),
        "svr": (SVR, _SCALED),
        "knn": (lambda: KNeighborsRegressor(**_PLAIN_SCAN), _SCALED),
        "mlp": (lambda: MLPRegressor(max_iter=1000), _SCALED),
    },
}
ESTIMATORS: Mapping[Task, tuple[str, ...]] = {task: tuple(makers) for task, makers in _MAKERS.items()}
DEFAULTS: Mapping[Task, str] = {"classification": "log_reg", "regression": "ridge"}


@attrs.frozen(eq=False)
class Choice:
    """The estimator that a user chose.

    Attributes:
        spec: The user's words: a name, or ``module:function``.
        name: The first part of its runs' model names, ``<name>_<run id>``.
        estimator: The unfitted estimator.
        needs: What a named estimator's model needs of its input; the defaults for an estimator of the user.
    """

    spec: str
    name: str
    estimator: Estimator
    needs: Needs = _UNKNOWN


def check_spec(spec: str, task: Task | None) -> None:
    """Refuse an unknown estimator name, before any table is read.

    Args:
        spec: The name, or ``module:function``.
        task: The task, if it is known.

    Raises:
        TrainingError: If there is no estimator of this name, or none for the task.
    """
    names = dict.fromkeys(name for of, names in ESTIMATORS.items() if task in {of, None} for name in names)
    if ":" not in spec and spec not in names:
        purpose = f" for {task}" if task else ""
        raise TrainingError(f"no estimator {spec!r}{purpose}: expected {', '.join(names)} or MODULE:FUNCTION")


def choose_estimator(spec: str, task: Task, columns: Sequence[Column], expansion: Expansion = "none") -> Choice:
    """Make the estimator that a name, or ``module:function``, stands for.

    Args:
        spec: The name, or ``module:function``.
        task: The task.
        columns: The features.
        expansion: Extra numeric features, for a named estimator only.

    Raises:
        TrainingError: If there is no such estimator, or the function does not return one for the task.
    """
    makers = _MAKERS[task]
    if spec in makers:
        make, needs = makers[spec]
        # Neither products nor splines take missing values.
        needs = attrs.evolve(needs, filled=needs.filled or expansion != "none")
        return Choice(spec, spec, _make_named(make(), needs, columns, expansion), needs)
    check_spec(spec, task)
    if expansion != "none":
        raise TrainingError(f"--features {expansion} is for named estimators; {spec!r} makes its own")
    return _choose_own(spec, task)


def _make_named(model: Estimator, needs: Needs, columns: Sequence[Column], expansion: Expansion) -> Estimator:
    categories = sum(column.kind == "category" for column in columns)
    if needs.codes and categories:
        model.set_params(categorical_features=list(range(categories)))
    return make_pipeline(model, needs, columns, expansion)


def _choose_own(spec: str, task: Task) -> Choice:
    module_name, _, function_name = spec.partition(":")
    try:
        estimator = getattr(importlib.import_module(module_name), function_name)()
        if not isinstance(estimator, type) and hasattr(estimator, "get_params"):
            estimator.get_params(deep=True)  # fails where its parameters are not what scikit-learn expects
    except Exception as error:
        raise TrainingError(f"estimator {spec!r} cannot be made: {type(error).__name__}: {error}") from error
    if isinstance(estimator, type):
        raise TrainingError(f"estimator {spec!r} gives the class {estimator.__name__}: expected an object of it")
    needed = ["fit", "predict", *["predict_proba"] * (task == "classification"), "get_params", "set_params"]
    lacking = [method for method in needed if not hasattr(estimator, method)]
    if lacking:
        raise TrainingError(f"estimator {spec!r} is a {type(estimator).__name__} without {', '.join(lacking)}")
    return Choice(spec, re.sub(r"[^a-z0-9_]+", "_", function_name.lower()), estimator)


def seed_estimator(estimator: Estimator, seed: int) -> None:
    """Set every random state that is None, those of steps too, so that a run can be repeated."""
    states = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    estimator.set_params(**states)
