"""A label is the estimator's own whatever its type and however large it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from tests.convert.converters.both_sides import BothSides, read_table

ESTIMATORS = {
    "log_reg": lambda: LogisticRegression(solver="newton-cholesky"),
    "svm": lambda: CalibratedClassifierCV(SVC(), ensemble=False),
    "knn": lambda: KNeighborsClassifier(algorithm="kd_tree", leaf_size=1_000_000),
    "naive_bayes": GaussianNB,
    "perceptron": lambda: MLPClassifier((3,), solver="lbfgs", max_iter=500, tol=1e-2, random_state=0),
}
LABELS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "beyond 32 bits": lambda target: target + 5_000_000_000,
    "negative": lambda target: target - 1,
    "truth values": lambda target: target > 0,
    "text": lambda target: np.array(["", "grün", "x"])[target],
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_labels_are_the_estimators(name: str, labels: str) -> None:
    known, target = read_table(load_iris)
    estimator = ESTIMATORS[name]().fit(known, LABELS[labels](target))
    BothSides(estimator, known).check(known)
