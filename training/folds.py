"""Repeated cross-validation of an estimator on the training rows."""

import math

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, cross_validate

from training.dataset import Dataset
from training.errors import TrainingError
from training.estimators import Estimator
from training.runlog import SCORES

FOLDS, REPEATS = 5, 2


@attrs.frozen
class Folds:
    """The cross-validation scores of an estimator.

    Attributes:
        mean: Mean score: accuracy, or R² of a regressor.
        deviation: Standard deviation of the score over all folds.
        standard_error: Standard error of the mean. Folds share most of their rows and so are not independent; only
            those of one repetition are counted, which is the usual estimate (Hastie, Tibshirani, Friedman: The
            Elements of Statistical Learning, 7.10).
        fit_s: Mean duration of one fit, in seconds.
    """

    mean: float
    deviation: float
    standard_error: float
    fit_s: float


def score_in_folds(estimator: Estimator, dataset: Dataset, rows: tuple[int, ...], seed: int) -> Folds:
    """Cross-validate an estimator, stratified by class, on rows without duplicates.

    Args:
        estimator: The unfitted estimator; it is cloned for each fold.
        dataset: The table.
        rows: Positions of the training rows.
        seed: Seed of the folds.

    Raises:
        TrainingError: If a class has one row only, or there are too few rows for two folds of two.
    """
    features, target = _drop_duplicates(dataset, rows)
    scores = cross_validate(
        estimator,
        features,
        target,
        cv=_choose_folds(dataset, target.to_numpy(), seed),
        scoring=SCORES[dataset.task],
        error_score="raise",
    )
    found: npt.NDArray[np.float64] = scores["test_score"]
    deviation = float(np.std(found, ddof=1))
    return Folds(
        mean=float(np.mean(found)),
        deviation=deviation,
        standard_error=deviation / math.sqrt(len(found) / REPEATS),
        fit_s=float(np.mean(scores["fit_time"])),
    )


def list_folds(dataset: Dataset, rows: tuple[int, ...], seed: int) -> list[tuple[int, ...]]:
    """Return the training rows of each fold of `score_in_folds`.

    Args:
        dataset: The table.
        rows: Positions of the training rows.
        seed: Seed of the folds.

    Raises:
        TrainingError: As `score_in_folds`.
    """
    features, target = _drop_duplicates(dataset, rows)
    folds = _choose_folds(dataset, target.to_numpy(), seed).split(features, target)
    return [tuple(features.index[learned].tolist()) for learned, _ in folds]


def _drop_duplicates(dataset: Dataset, rows: tuple[int, ...]) -> tuple[pd.DataFrame, pd.Series]:
    # A duplicate of a training row would leak into the rows that test a fold.
    features = dataset.features.iloc[list(rows)].drop_duplicates()
    return features, dataset.target.loc[features.index]


def _choose_folds(
    dataset: Dataset, target: npt.NDArray[np.generic], seed: int
) -> RepeatedKFold | RepeatedStratifiedKFold:
    if dataset.task == "regression":
        folds = min(FOLDS, len(target) // 2)  # R² of one row means nothing
        if folds < 2:  # noqa: PLR2004  one to learn from, one to test
            raise TrainingError("cross-validation needs four different training rows at least")
        return RepeatedKFold(n_splits=folds, n_repeats=REPEATS, random_state=seed)
    _, counts = np.unique(target, return_counts=True)
    if counts.min() < 2:  # noqa: PLR2004  one to learn from, one to test
        raise TrainingError("cross-validation needs two different training rows of each class at least")
    folds = min(FOLDS, int(counts.min()))
    return RepeatedStratifiedKFold(n_splits=folds, n_repeats=REPEATS, random_state=seed)
