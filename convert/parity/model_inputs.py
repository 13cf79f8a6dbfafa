"""Finds the models within a fitted estimator, the input of each, and the feature that each column of the input holds.

A model may be behind a pipeline's steps, and a member of a bagging, boosting, calibration, stacking or voting
estimator.
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

_SKIPPED = (None, "passthrough")
"""Steps that a pipeline skips."""
TREE_MODELS = (BaseDecisionTree, BaseForest, BaseGradientBoosting, BaseHistGradientBoosting)
"""Estimators whose answers change at thresholds."""
SAME_INPUT_ENSEMBLES = (AdaBoostClassifier, AdaBoostRegressor, OneVsRestClassifier, VotingClassifier, VotingRegressor)
"""Estimators that pass their own input on to each member."""
FITTED_IN_PLACE = {"steps", "transformer_list"}
"""Parameters that scikit-learn fits in place instead of cloning into an attribute with a trailing underscore."""
_Step = Callable[[Any], Any]


@attrs.frozen(eq=False)
class ModelInput:
    """The input of a model.

    Attributes:
        model: The model; the estimator itself if it is neither a pipeline nor made of others.
        features: The feature whose values each column holds unchanged; None for a derived column.
        prepare: Transforms rows, one column per feature, into the model's input: float64 of shape
            ``(rows, columns)``.
    """

    model: Any
    features: tuple[str | None, ...]
    prepare: Callable[[pd.DataFrame], npt.NDArray[np.float64]]


def model_inputs(estimator: Estimator, rows: pd.DataFrame) -> list[ModelInput]:
    """Returns the input of every model within an estimator, except of models that take text.

    Args:
        estimator: The fitted estimator.
        rows: Known rows, one column per feature.

    Raises:
        ConvertError: If it contains trees whose input cannot be found.
    """
    with _without_warnings():
        found = list(_descend(estimator, _Transformed(rows, tuple(map(str, rows.columns)), ())))
    for part in _parts(estimator, {id(one.model) for one in found if isinstance(one.model, TREE_MODELS)}):
        if isinstance(part, TREE_MODELS) and hasattr(part, "n_features_in_"):  # set by fit
            kind = type(part).__name__
            raise ConvertError(f"a {kind} within the {type(estimator).__name__} cannot be probed at its thresholds")
    return found


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences warnings about column names: some steps were fitted on arrays without names, and warn each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _parts(fitted: Any, seen: set[int]) -> Iterator[BaseEstimator]:
    """Yields all parts of an estimator, at any depth, except those seen (by id) and the parts of these."""
    if isinstance(fitted, list | tuple) or (isinstance(fitted, np.ndarray) and fitted.dtype == object):
        for part in fitted:
            yield from _parts(part, seen)
    # A feature selector uses its estimator in fit only.
    elif isinstance(fitted, BaseEstimator) and not isinstance(fitted, SelectorMixin) and id(fitted) not in seen:
        seen.add(id(fitted))
        yield fitted
        for name, part in vars(fitted).items():
            if name.endswith("_") or name.startswith("_") or name in FITTED_IN_PLACE:
                yield from _parts(part, seen)


@attrs.frozen(eq=False)
class _Transformed:
    """Rows after some steps of a pipeline.

    Attributes:
        values: A frame or a matrix.
        names: The feature whose values each column holds unchanged, or None.
        steps: The steps so far.
    """

    values: Any
    names: Sequence[str | None]
    steps: tuple[_Step, ...]

    def transform(self, step: Any) -> "_Transformed":
        """Returns the rows after a transformer."""
        values = step.transform(self.values)
        return _Transformed(values, _names_after(step, self.names, values.shape[1]), (*self.steps, step.transform))

    def select(self, columns: npt.NDArray[np.intp]) -> "_Transformed":
        """Returns some of the columns."""

        def take(values: Any) -> Any:
            return values.iloc[:, columns] if isinstance(values, pd.DataFrame) else values[:, columns]

        return _Transformed(take(self.values), [self.names[index] for index in columns], (*self.steps, take))


def _descend(estimator: Any, rows: _Transformed) -> Iterator[ModelInput]:
    """Yields the inputs of all models within an estimator that is given these rows."""
    match estimator:
        case Pipeline():
            for _, step in estimator.steps[:-1]:
                rows = rows if step in _SKIPPED else rows.transform(step)
            yield from _descend(estimator[-1], rows)
        case _ if members := _members(estimator, rows):
            for member, given in members:
                yield from _descend(member, given)
        case _ if _is_numeric(rows.values):
            yield _as_input(estimator, rows)


def _members(estimator: Any, rows: _Transformed) -> list[tuple[Any, _Transformed]]:
    """Returns the members of an ensemble, each with its input; an ensemble of trees alone counts as one model."""
    match estimator:
        case _ if isinstance(estimator, SAME_INPUT_ENSEMBLES):
            return [(member, rows) for member in estimator.estimators_]
        case BaggingClassifier() | BaggingRegressor():
            chosen = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
            return [(member, rows.select(columns)) for member, columns in chosen]
        case BaseSearchCV() | BaseThresholdClassifier():
            one = estimator.best_estimator_ if isinstance(estimator, BaseSearchCV) else estimator.estimator_
            return [(one, rows)]
        case CalibratedClassifierCV():
            return [(calibrated.estimator, rows) for calibrated in estimator.calibrated_classifiers_]
        case StackingClassifier() | StackingRegressor():
            final = (estimator.final_estimator_, rows.transform(estimator))
            return [*((member, rows) for member in estimator.estimators_), final]
        case _:
            return []


def _is_numeric(values: Any) -> bool:
    kinds = values.dtypes if isinstance(values, pd.DataFrame) else [values.dtype]
    return all(is_numeric_dtype(kind) for kind in kinds)


def _as_input(model: Any, transformed: _Transformed) -> ModelInput:
    steps = transformed.steps

    def prepare(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        values: Any = rows
        with _without_warnings():
            for step in steps:
                values = step(values)
        return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)

    return ModelInput(model, tuple(transformed.names), prepare)


def _names_after(step: Any, names: Sequence[str | None], width: int) -> Sequence[str | None]:
    """Returns the feature whose values each output column of a step holds unchanged, or None."""
    after: list[str | None] = [None] * width
    if isinstance(step, ColumnTransformer):
        for name, part, _ in step.transformers_:
            columns = step.output_indices_[name]
            # Indices of the selected columns, whether these were given by name, position, mask or function.
            selected = [names[index] for index in step._transformer_to_input_indices[name]]  # noqa: SLF001
            if _keeps_values(part, len(selected), columns.stop - columns.start):
                after[columns] = selected
    elif _keeps_values(step, len(names), width):
        return names
    return after


def _keeps_values(step: Any, columns_in: int, columns_out: int) -> bool:
    """Returns whether a step changes missing values only, and neither adds nor drops a column."""
    steps = [part for _, part in step.steps] if isinstance(step, Pipeline) else [step]
    is_kept = all(isinstance(part, SimpleImputer) or getattr(part, "func", 0) is None for part in steps)
    return is_kept and columns_in == columns_out
