"""Metrics of a fitted estimator, defined as scikit-learn's of the same names."""

import attrs
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

from training.dataset import Task
from training.estimators import Estimator


@attrs.frozen
class ClassMetrics:
    """Metrics of one class.

    Attributes:
        label: The class, as text.
        precision: Share of predictions of this class that are right (0 to 1).
        recall: Share of this class's rows that are predicted right (0 to 1).
        f1: Harmonic mean of precision and recall (0 to 1).
        rows: Number of rows of this class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


@attrs.frozen
class ClassifierMetrics:
    """Metrics of a classifier on a set of rows.

    Attributes:
        accuracy: Share of rows predicted right (0 to 1).
        log_loss: Mean negative log-likelihood of the true class, in nats.
        classes: One entry a class, in the estimator's order.
        confusion: Confusion matrix: rows are true classes, columns predicted ones, in the order of ``classes``.
    """

    accuracy: float
    log_loss: float
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]


@attrs.frozen
class RegressorMetrics:
    """Metrics of a regressor on a set of rows.

    Attributes:
        r2: R², the share of the target's variance that is explained (at most 1).
        mean_absolute_error: In the target's unit.
        root_mean_squared_error: In the target's unit.
    """

    r2: float
    mean_absolute_error: float
    root_mean_squared_error: float


Metrics = ClassifierMetrics | RegressorMetrics


def evaluate(estimator: Estimator, task: Task, features: pd.DataFrame, target: pd.Series) -> Metrics:
    """Evaluate a fitted estimator on rows with known targets."""
    predicted = estimator.predict(features)
    if task == "regression":
        return RegressorMetrics(
            r2=float(r2_score(target, predicted)),
            mean_absolute_error=float(mean_absolute_error(target, predicted)),
            root_mean_squared_error=float(root_mean_squared_error(target, predicted)),
        )
    labels = list(estimator.classes_)
    scores = precision_recall_fscore_support(target, predicted, labels=labels, zero_division=0.0)
    return ClassifierMetrics(
        accuracy=float(accuracy_score(target, predicted)),
        log_loss=float(log_loss(target, estimator.predict_proba(features), labels=labels)),
        classes=tuple(
            ClassMetrics(str(label), float(precision), float(recall), float(f1), int(rows))
            for label, precision, recall, f1, rows in zip(labels, *scores, strict=True)
        ),
        confusion=tuple(tuple(row) for row in confusion_matrix(target, predicted, labels=labels).tolist()),
    )
