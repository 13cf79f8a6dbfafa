"""Metrics are what their definitions give by hand."""

import math

import pandas as pd
import pytest

from tests.fakes import FixedClassifier
from training.metrics import ClassMetrics, evaluate

ROWS = pd.DataFrame({"n": range(5)})
TRUE = pd.Series(["a", "a", "b", "b", "b"])


def test_metrics_are_what_their_definitions_give_by_hand() -> None:
    answers = ["a", "b", "b", "b", "a"]
    sure_of_a = [0.9, 0.4, 0.2, 0.3, 0.6]
    metrics = evaluate(FixedClassifier(["a", "b"], answers, [(a, 1 - a) for a in sure_of_a]), ROWS, TRUE)
    assert metrics.accuracy == 3 / 5
    assert metrics.log_loss == pytest.approx(-sum(map(math.log, [0.9, 0.4, 0.8, 0.7, 0.4])) / 5)
    assert metrics.confusion == ((1, 1), (1, 2))
    assert metrics.classes == (
        ClassMetrics("a", precision=1 / 2, recall=1 / 2, f1=1 / 2, rows=2),
        ClassMetrics("b", precision=2 / 3, recall=2 / 3, f1=2 / 3, rows=3),
    )


def test_a_class_that_is_never_answered_or_never_there_counts_as_zero() -> None:
    metrics = evaluate(FixedClassifier(["a", "b", "c"], ["a"] * 5, [(0.8, 0.1, 0.1)] * 5), ROWS, TRUE)
    assert metrics.classes == (
        ClassMetrics("a", precision=2 / 5, recall=1, f1=4 / 7, rows=2),
        ClassMetrics("b", precision=0, recall=0, f1=0, rows=3),
        ClassMetrics("c", precision=0, recall=0, f1=0, rows=0),
    )
    assert metrics.confusion == ((2, 0, 0), (3, 0, 0), (0, 0, 0))
