"""Fitted pipeline + rows -> what its last step is given, and which feature each of its columns is; it fits nothing."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from training.estimators import Estimator

_NOTHING = (None, "passthrough")
"""Steps that a pipeline leaves out."""


@attrs.frozen(eq=False)
class ModelInput:
    """What the last step of a pipeline is given.

    Attributes:
        model: The last step; the estimator itself where it is no pipeline.
        values: float64 of shape ``(rows, columns)``.
        features: For each column the feature whose values it has as they are; None where something was made of them.
    """

    model: Any
    values: npt.NDArray[np.float64]
    features: tuple[str | None, ...]


def model_input(estimator: Estimator, rows: pd.DataFrame) -> ModelInput | None:
    """Gives what the model proper of an estimator is given for these rows; None where it cannot be told.

    Args:
        estimator: The fitted estimator.
        rows: One column a feature.
    """
    names: Sequence[str | None] = [str(name) for name in rows.columns]
    if not isinstance(estimator, Pipeline):
        return _as_input(estimator, rows, names)
    prepared: Any = rows
    for _, step in estimator.steps[:-1]:
        if step not in _NOTHING:
            prepared = step.transform(prepared)
            names = _pass_through(step, names, prepared.shape[1])
    return _as_input(estimator[-1], prepared, names)


def _as_input(model: Any, values: Any, names: Sequence[str | None]) -> ModelInput | None:
    kinds = values.dtypes if isinstance(values, pd.DataFrame) else [values.dtype]
    if not all(is_numeric_dtype(kind) for kind in kinds):
        return None
    numbers = values.toarray() if hasattr(values, "toarray") else values
    return ModelInput(model, np.asarray(numbers, dtype=np.float64), tuple(names))


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
