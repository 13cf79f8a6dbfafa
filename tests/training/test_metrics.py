"""Metrics are what their definitions give by hand."""

import math

import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.tree import DecisionTreeClassifier

from tests.support.fakes import FixedClassifier
from training.metrics import ClassifierMetrics, ClassMetrics, RegressorMetrics, evaluate

ROWS = pd.DataFrame({"n": range(5)})
TRUE = pd.Series(["a", "a", "b", "b", "b"])


def test_metrics_are_what_their_definitions_give_by_hand() -> None:
    answers = ["a", "b", "b", "b", "a"]
    sure_of_a = [0.9, 0.4, 0.2, 0.3, 0.6]
    estimator = FixedClassifier(["a", "b"], answers, [(a, 1 - a) for a in sure_of_a])
    metrics = evaluate(estimator, "classification", ROWS, TRUE)
    assert isinstance(metrics, ClassifierMetrics)
    assert metrics.accuracy == 3 / 5
    assert metrics.log_loss == pytest.approx(-sum(map(math.log, [0.9, 0.4, 0.8, 0.7, 0.4])) / 5)
    assert metrics.confusion == ((1, 1), (1, 2))
    assert metrics.classes == (
        ClassMetrics("a", precision=1 / 2, recall=1 / 2, f1=1 / 2, rows=2),
        ClassMetrics("b", precision=2 / 3, recall=2 / 3, f1=2 / 3, rows=3),
    )


def test_a_class_that_is_never_answered_or_never_there_counts_as_zero() -> None:
    estimator = FixedClassifier(["a", "b", "c"], ["a"] * 5, [(0.8, 0.1, 0.1)] * 5)
    metrics = evaluate(estimator, "classification", ROWS, TRUE)
    assert isinstance(metrics, ClassifierMetrics)
    assert metrics.classes == (
        ClassMetrics("a", precision=2 / 5, recall=1, f1=4 / 7, rows=2),
        ClassMetrics("b", precision=0, recall=0, f1=0, rows=3),
        ClassMetrics("c", precision=0, recall=0, f1=0, rows=0),
    )
    assert metrics.confusion == ((2, 0, 0), (3, 0, 0), (0, 0, 0))


def test_metrics_of_numbers_are_what_their_definitions_give_by_hand() -> None:
    regressor = DummyRegressor(strategy="constant", constant=2.0).fit(ROWS, ROWS["n"])
    metrics = evaluate(regressor, "regression", ROWS, pd.Series([2.0, 2.0, 5.0, 2.0, 2.0]))
    # Off by 3 in one row of 5, where the mean, 2.6, is off by 0.6 in four and by 2.4 in one.
    assert isinstance(metrics, RegressorMetrics)
    assert metrics.mean_absolute_error == pytest.approx(3 / 5)
    assert metrics.root_mean_squared_error == pytest.approx(math.sqrt(9 / 5))
    assert metrics.r2 == pytest.approx(1 - 9 / (4 * 0.6**2 + 2.4**2))


def test_classes_of_bool_and_whole_numbers_are_named_as_they_are_written() -> None:
    for labels, names in ((TRUE == "a", ["False", "True"]), (TRUE.map({"a": 7, "b": -1}), ["-1", "7"])):
        estimator = DecisionTreeClassifier().fit(ROWS, labels)
        metrics = evaluate(estimator, "classification", ROWS, labels)
        assert isinstance(metrics, ClassifierMetrics)
        assert [one.label for one in metrics.classes] == names
        assert metrics.accuracy == 1
