"""Labels and a fitted estimator's answers -> Metrics, accuracy first; knows nothing of runs or files."""

import attrs
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

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
class Metrics:
    """How well an estimator answers a set of rows; definitions are scikit-learn's of the same names.

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


def evaluate(estimator: Estimator, features: pd.DataFrame, target: pd.Series) -> Metrics:
    """Asks a fitted estimator about rows whose labels are known."""
    labels = list(estimator.classes_)
    answers = estimator.predict(features)
    scores = precision_recall_fscore_support(target, answers, labels=labels, zero_division=0.0)
    return Metrics(
        accuracy=float(accuracy_score(target, answers)),
        log_loss=float(log_loss(target, estimator.predict_proba(features), labels=labels)),
        classes=tuple(
            ClassMetrics(str(label), float(precision), float(recall), float(f1), int(rows))
            for label, precision, recall, f1, rows in zip(labels, *scores, strict=True)
        ),
        confusion=tuple(tuple(row) for row in confusion_matrix(target, answers, labels=labels).tolist()),
    )
