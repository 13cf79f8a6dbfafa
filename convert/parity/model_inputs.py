"""Fitted estimator + rows -> each model within it, what it is given, and which feature each column of that is.

A model may be behind a pipeline's steps, and one of many that are bagged, boosted, calibrated, stacked or put to a
vote. It fits nothing.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.model_selection._classification_threshold import BaseThresholdClassifier
from sklearn.model_selection._search import BaseSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import BaseDecisionTree

from convert.errors import ConvertError
from training.estimators import Estimator

_NOTHING = (None, "passthrough")
"""Steps that a pipeline leaves out."""
OF_TREES = (BaseDecisionTree, BaseForest, BaseGradientBoosting, BaseHistGradientBoosting)
"""Estimators whose answers turn at thresholds."""
OF_EQUALS = (AdaBoostClassifier, AdaBoostRegressor, OneVsRestClassifier, VotingClassifier, VotingRegressor)
"""Estimators whose members are all given what they are given."""
FITTED_PARAMETERS = {"steps", "transformer_list"}
"""What is fitted in its place; any other parameter is copied first, and what was fitted ends with an underscore."""
_Step = Callable[[Any], Any]


@attrs.frozen(eq=False)
class ModelInput:
    """What a model is given.

    Attributes:
        model: The model; the estimator itself where it is neither a pipeline nor made of others.
        features: For each column the feature whose values it has as they are; None where something was made of them.
        prepare: Makes of rows, one column a feature, what the model is given: float64 of shape ``(rows, columns)``.
    """

    model: Any
    features: tuple[str | None, ...]
    prepare: Callable[[pd.DataFrame], npt.NDArray[np.float64]]


def model_inputs(estimator: Estimator, rows: pd.DataFrame) -> list[ModelInput]:
    """Gives what every model within an estimator is given, but for those that are given text.

    Args:
        estimator: The fitted estimator.
        rows: Known ones, one column a feature.

    Raises:
        ConvertError: If there are trees within it of which it cannot be told what they are given.
    """
    with _without_warnings():
        found = list(_descend(estimator, _Prepared(rows, tuple(map(str, rows.columns)), ())))
    for part in _parts(estimator, {id(given.model) for given in found if isinstance(given.model, OF_TREES)}):
        if isinstance(part, OF_TREES) and hasattr(part, "n_features_in_"):  # which one has that was fitted
            kind = type(part).__name__
            raise ConvertError(f"a {kind} within the {type(estimator).__name__} cannot be asked at its thresholds")
    return found


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Passes over that rows have names: some steps were fitted on arrays without any, and say so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _parts(fitted: Any, passed: set[int]) -> Iterator[BaseEstimator]:
    """Gives all fitted parts of an estimator, however deep, but for those passed and what these have within them."""
    if isinstance(fitted, list | tuple) or (isinstance(fitted, np.ndarray) and fitted.dtype == object):
        for part in fitted:
            yield from _parts(part, passed)
    # What chooses columns asks its estimator while it is fitted, and never again.
    elif isinstance(fitted, BaseEstimator) and not isinstance(fitted, SelectorMixin) and id(fitted) not in passed:
        passed.add(id(fitted))
        yield fitted
        for name, part in vars(fitted).items():
            if name.endswith("_") or name.startswith("_") or name in FITTED_PARAMETERS:
                yield from _parts(part, passed)


@attrs.frozen(eq=False)
class _Prepared:
    """Rows on their way to a model.

    Attributes:
        values: What the steps so far have made of them: a frame or a matrix.
        names: Its columns, by the feature that each still is.
        steps: All that was done.
    """

    values: Any
    names: Sequence[str | None]
    steps: tuple[_Step, ...]

    def through(self, step: Any) -> "_Prepared":
        """Gives what a transformer makes of them."""
        values = step.transform(self.values)
        return _Prepared(values, _pass_through(step, self.names, values.shape[1]), (*self.steps, step.transform))

    def choose(self, columns: npt.NDArray[np.intp]) -> "_Prepared":
        """Gives some of the columns."""

        def take(values: Any) -> Any:
            return values.iloc[:, columns] if isinstance(values, pd.DataFrame) else values[:, columns]

        return _Prepared(take(self.values), [self.names[place] for place in columns], (*self.steps, take))


def _descend(estimator: Any, prepared: _Prepared) -> Iterator[ModelInput]:
    match estimator:
        case Pipeline():
            for _, step in estimator.steps[:-1]:
                prepared = prepared if step in _NOTHING else prepared.through(step)
            yield from _descend(estimator[-1], prepared)
        case _ if members := _members(estimator, prepared):
            for member, given in members:
                yield from _descend(member, given)
        case _ if _is_numeric(prepared.values):
            yield _as_input(estimator, prepared)


def _members(estimator: Any, prepared: _Prepared) -> list[tuple[Any, _Prepared]]:
    """Gives the estimators that one is made of, each with what it is given; none, where it is made of trees alone."""
    match estimator:
        case _ if isinstance(estimator, OF_EQUALS):
            return [(member, prepared) for member in estimator.estimators_]
        case BaggingClassifier() | BaggingRegressor():
            chosen = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
            return [(member, prepared.choose(columns)) for member, columns in chosen]
        case BaseSearchCV() | BaseThresholdClassifier():
            one = estimator.best_estimator_ if isinstance(estimator, BaseSearchCV) else estimator.estimator_
            return [(one, prepared)]
        case CalibratedClassifierCV():
            return [(calibrated.estimator, prepared) for calibrated in estimator.calibrated_classifiers_]
        case StackingClassifier() | StackingRegressor():
            final = (estimator.final_estimator_, prepared.through(estimator))
            return [*((member, prepared) for member in estimator.estimators_), final]
        case _:
            return []


def _is_numeric(values: Any) -> bool:
    kinds = values.dtypes if isinstance(values, pd.DataFrame) else [values.dtype]
    return all(is_numeric_dtype(kind) for kind in kinds)


def _as_input(model: Any, prepared: _Prepared) -> ModelInput:
    steps = prepared.steps

    def prepare(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        values: Any = rows
        with _without_warnings():
            for step in steps:
                values = step(values)
        return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)

    return ModelInput(model, tuple(prepared.names), prepare)


def _pass_through(step: Any, names: Sequence[str | None], width: int) -> Sequence[str | None]:
    """Gives the columns that come out of a step, by the feature that each still is."""
    out: list[str | None] = [None] * width
    if isinstance(step, ColumnTransformer):
        for name, part, _ in step.transformers_:
            place = step.output_indices_[name]
            # In whatever way its columns were chosen.
            chosen = [names[at] for at in step._transformer_to_input_indices[name]]  # noqa: SLF001
            if _keeps(part, len(chosen), place.stop - place.start):
                out[place] = chosen
    elif _keeps(step, len(names), width):
        return names
    return out


def _keeps(step: Any, taken: int, given: int) -> bool:
    """Says whether a step leaves the values as they are, but for missing ones, and neither adds nor drops a column."""
    steps = [part for _, part in step.steps] if isinstance(step, Pipeline) else [step]
    is_kept = all(isinstance(part, SimpleImputer) or getattr(part, "func", 0) is None for part in steps)
    return is_kept and taken == given
