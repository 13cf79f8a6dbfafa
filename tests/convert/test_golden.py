"""Golden rows are distinct known rows of every label, those that are easiest to get wrong."""

import numpy as np
import pandas as pd

from convert.golden import ROWS_PER_LABEL, choose_golden_rows
from convert.parity import ask_estimator
from tests.fakes import FixedClassifier
from training.dataset import Dataset
from training.estimators import Estimator


def test_golden_rows_are_known_rows_with_the_estimators_own_answers(estimator: Estimator, iris: Dataset) -> None:
    golden = choose_golden_rows(estimator, iris.features)
    rows = pd.DataFrame([known.row for known in golden])
    assert rows.merge(iris.features.drop_duplicates()).equals(rows)
    assert [(known.output, known.probabilities) for known in golden] == [
        (answer.label, answer.probabilities) for answer in ask_estimator(estimator, rows)
    ]


def test_each_label_of_iris_has_four(estimator: Estimator, iris: Dataset) -> None:
    labels = [known.output for known in choose_golden_rows(estimator, iris.features)]
    assert labels == ["Iris-setosa"] * 4 + ["Iris-versicolor"] * 4 + ["Iris-virginica"] * 4


def test_each_label_has_its_least_sure_rows(estimator: Estimator, iris: Dataset) -> None:
    golden = choose_golden_rows(estimator, iris.features)
    answers = estimator.predict(iris.features)
    sorted_probabilities = np.sort(estimator.predict_proba(iris.features), axis=1)
    margins = sorted_probabilities[:, -1] - sorted_probabilities[:, -2]
    for label in ("Iris-setosa", "Iris-versicolor", "Iris-virginica"):
        chosen = [known.probabilities for known in golden if known.output == label]
        found = [max(p) - sorted(p)[-2] for p in chosen]
        expected = sorted(set(margins[answers == label].tolist()))[:ROWS_PER_LABEL]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_repeated_rows_are_golden_once_and_a_label_that_is_never_given_has_none() -> None:
    known = pd.DataFrame({"n": [1.0, 2.0, 1.0]})
    classifier = FixedClassifier(["a", "b", "c"], ["b", "a"], [(0.1, 0.8, 0.1), (0.9, 0.1, 0.0)])
    golden = choose_golden_rows(classifier, known)
    assert [(row.row, row.output) for row in golden] == [({"n": 2.0}, "a"), ({"n": 1.0}, "b")]
