"""A name -> an unfitted scikit-learn estimator; knows nothing of tables or runs."""

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from sklearn.linear_model import LogisticRegression

from training.errors import TrainingError

Estimator = Any
"""A classifier: ``fit``, ``predict``, ``predict_proba``, ``get_params``; scikit-learn has no type for it."""


def _log_reg() -> Estimator:
    """Logistic regression by Newton steps, whose convergence does not depend on the features' scales."""
    return LogisticRegression(solver="newton-cholesky")


ESTIMATORS: Mapping[str, Callable[[], Estimator]] = {"log_reg": _log_reg}


@attrs.frozen(eq=False)
class Choice:
    """An estimator as it was asked for.

    Attributes:
        spec: What was asked for: a name, or ``module:function``.
        name: What its runs are called: ``<name>_<run id>``.
        estimator: The unfitted estimator.
    """

    spec: str
    name: str
    estimator: Estimator


def choose_estimator(spec: str) -> Choice:
    """Makes the estimator that a name, or ``module:function``, stands for.

    Raises:
        TrainingError: If there is no such estimator, or the function does not give a classifier with probabilities.
    """
    if spec in ESTIMATORS:
        return Choice(spec, spec, ESTIMATORS[spec]())
    module_name, colon, function_name = spec.partition(":")
    if not colon:
        raise TrainingError(f"no estimator {spec!r}: expected {', '.join(ESTIMATORS)} or MODULE:FUNCTION")
    try:
        estimator = getattr(importlib.import_module(module_name), function_name)()
        if not isinstance(estimator, type) and hasattr(estimator, "get_params"):
            estimator.get_params(deep=True)  # fails where its parameters are not what scikit-learn expects
    except Exception as error:
        raise TrainingError(f"estimator {spec!r} cannot be made: {type(error).__name__}: {error}") from error
    if isinstance(estimator, type):
        raise TrainingError(f"estimator {spec!r} gives the class {estimator.__name__}: expected an object of it")
    lacking = [
        method
        for method in ("fit", "predict", "predict_proba", "get_params", "set_params")
        if not hasattr(estimator, method)
    ]
    if lacking:
        raise TrainingError(f"estimator {spec!r} is a {type(estimator).__name__} without {', '.join(lacking)}")
    return Choice(spec, re.sub(r"[^a-z0-9_]+", "_", function_name.lower()), estimator)


def seed_estimator(estimator: Estimator, seed: int) -> None:
    """Sets every random state that is open, the steps' too, so that a run can be repeated."""
    states = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    estimator.set_params(**states)
