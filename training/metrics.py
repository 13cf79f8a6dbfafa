"""Known targets and a fitted estimator's answers -> Metrics; definitions are scikit-learn's of the same names.

It knows nothing of runs or files.
"""

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
    """How one class is answered.

    Attributes:
        label: The class, as text.
        precision: Share of answers with this label that are right (0 to 1).
        recall: Share of this class's rows that are answered right (0 to 1).
        f1: Harmonic mean of the two (0 to 1).
        rows: How many rows are of this class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


@attrs.frozen
class ClassifierMetrics:
    """How well a classifier answers a set of rows.

    Attributes:
        accuracy: Share of rows answered right (0 to 1).
        log_loss: Mean negative log-likelihood of the true class, in nats.
        classes: One entry a class, in the estimator's order.
        confusion: Rows are true classes, columns are answers, both in the order of ``classes``.
    """

    accuracy: float
    log_loss: float
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]


@attrs.frozen
class RegressorMetrics:
    """How well a regressor answers a set of rows.

    Attributes:
        r2: Share of the target's variance that is explained (1 at most).
        mean_absolute_error: In the target's unit.
        root_mean_squared_error: In the target's unit.
    """

    r2: float
    mean_absolute_error: float
    root_mean_squared_error: float


Metrics = ClassifierMetrics | RegressorMetrics


def evaluate(estimator: Estimator, task: Task, features: pd.DataFrame, target: pd.Series) -> Metrics:
    """Asks a fitted estimator about rows whose targets are known."""
    answers = estimator.predict(features)
    if task == "regression":
        return RegressorMetrics(
            r2=float(r2_score(target, answers)),
            mean_absolute_error=float(mean_absolute_error(target, answers)),
            root_mean_squared_error=float(root_mean_squared_error(target, answers)),
        )
    labels = list(estimator.classes_)
    scores = precision_recall_fscore_support(target, answers, labels=labels, zero_division=0.0)
    return ClassifierMetrics(
        accuracy=float(accuracy_score(target, answers)),
        log_loss=float(log_loss(target, estimator.predict_proba(features), labels=labels)),
        classes=tuple(
            ClassMetrics(str(label), float(precision), float(recall), float(f1), int(rows))
            for label, precision, recall, f1, rows in zip(labels, *scores, strict=True)
        ),
        confusion=tuple(tuple(row) for row in confusion_matrix(target, answers, labels=labels).tolist()),
    )
