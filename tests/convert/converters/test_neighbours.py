"""Nearest neighbours answer as scikit-learn's to the last bit, also for ties."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tests.convert.converters.both_sides import BothSides, draw_rows, read_table

ONE_LEAF = {"algorithm": "kd_tree", "leaf_size": 1_000_000}
GRID = pd.DataFrame(np.random.default_rng(3).integers(0, 4, size=(200, 3)).astype(float), columns=["a", "b", "c"])
LABELS = np.random.default_rng(4).choice(["one", "other", "third", "fourth"], 200)
QUERIES = pd.DataFrame(np.random.default_rng(5).integers(0, 4, size=(300, 3)).astype(float), columns=["a", "b", "c"])


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("count", [1, 2, 5, 8, 19, 150])
def test_a_classifier_answers_as_the_estimator(weights: str, count: int) -> None:
    known, target = read_table(load_iris)
    estimator = KNeighborsClassifier(count, weights=weights, **ONE_LEAF).fit(known, target)
    sides = BothSides(estimator, known)
    sides.check(known)
    rows = draw_rows(known, 400)
    # All known rows are equally far from the last two: the module's docstring says what eight of them can do.
    sides.check(rows if count < 8 or weights == "uniform" else rows[:-2])


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("count", [1, 5, 150])
def test_a_regressor_answers_as_the_estimator(weights: str, count: int) -> None:
    known, _ = read_table(load_iris)
    target = known.pop("f3") ** 2
    sides = BothSides(KNeighborsRegressor(count, weights=weights, **ONE_LEAF).fit(known, target), known)
    sides.check(known)
    sides.check(draw_rows(known, 400))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 12])
def test_of_equally_far_rows_the_neighbours_are_those_of_scikit_learn(count: int) -> None:
    estimator = KNeighborsClassifier(count, **ONE_LEAF).fit(GRID, LABELS)
    sides = BothSides(estimator, GRID)
    sides.check(QUERIES)
    sides.check(QUERIES[:1])


def test_the_first_of_equally_far_rows_would_be_wrong() -> None:
    """Without the heap's history the labels of the grid would differ, so the test above can fail."""
    estimator = KNeighborsClassifier(5, **ONE_LEAF).fit(GRID, LABELS)
    squares = ((QUERIES.to_numpy()[:, np.newaxis] - GRID.to_numpy()) ** 2).sum(axis=2)
    first = np.argsort(squares, axis=1, kind="stable")[:, :5]
    found = estimator.kneighbors(QUERIES, return_distance=False)
    assert (np.sort(LABELS[first], axis=1) != np.sort(LABELS[found], axis=1)).any()


def test_a_regressor_of_equally_far_rows_answers_as_the_estimator() -> None:
    target = np.arange(200.0)
    BothSides(KNeighborsRegressor(4, **ONE_LEAF).fit(GRID, target), GRID).check(QUERIES)


def test_an_answer_does_not_depend_on_its_batch() -> None:
    sides = BothSides(KNeighborsClassifier(**ONE_LEAF).fit(GRID, LABELS), GRID)
    labels, shares = sides.ask_model(QUERIES)
    alone = [sides.ask_model(QUERIES[place : place + 1]) for place in range(60)]
    assert_array_equal(labels[:60], np.concatenate([label for label, _ in alone]))
    assert_array_equal(shares[:60], np.concatenate([share for _, share in alone]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "manhattan"}, "expected a Euclidean metric, got 'manhattan'"),
        ({"weights": np.ones_like}, "expected weights 'uniform' or 'distance', got <function ones_like"),
    ],
)
def test_parameters_that_are_not_supported_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(NotImplementedError) as refusal:
        BothSides(KNeighborsClassifier(**parameters).fit(GRID, LABELS), GRID)
    assert str(refusal.value).startswith(message)
