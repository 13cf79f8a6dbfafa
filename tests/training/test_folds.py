"""Cross-validation tells how an estimator does on rows that it has not seen, and none of them twice."""

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from tests.training.conftest import Read
from training.dataset import Dataset
from training.errors import TrainingError
from training.folds import list_folds, score_in_folds

LABELS = ["a"] * 30 + ["b"] * 10


def everything(dataset: Dataset) -> tuple[int, ...]:
    return tuple(range(len(dataset.target)))


def labelled(read: Read, labels: list[str]) -> Dataset:
    return read("n,y\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels)))


def test_classes_are_in_each_fold_as_they_are_in_the_table(read: Read) -> None:
    dataset = labelled(read, LABELS)
    folds = score_in_folds(DummyClassifier(), dataset, everything(dataset), seed=0)
    assert (folds.mean, folds.deviation, folds.standard_error) == (0.75, 0, 0)
    assert folds.fit_s > 0


def test_a_rare_class_makes_for_fewer_folds_and_a_single_row_of_one_for_none(read: Read) -> None:
    dataset = labelled(read, ["a"] * 8 + ["b"] * 2)
    folds = score_in_folds(DummyClassifier(), dataset, everything(dataset), seed=0)
    assert folds.mean == 0.8
    dataset = labelled(read, ["a"] * 8 + ["b"])
    with pytest.raises(TrainingError, match=r"^cross-validation needs two different training rows of each class"):
        score_in_folds(DummyClassifier(), dataset, everything(dataset), seed=0)


def test_numbers_are_scored_by_r2_with_the_error_of_five_folds(read: Read) -> None:
    random = np.random.default_rng(0)
    dataset = read("n,y\n" + "".join(f"{row},{row + random.normal():.3f}\n" for row in range(50)))
    folds = score_in_folds(LinearRegression(), dataset, everything(dataset), seed=0)
    assert 0.9 < folds.mean < 1
    assert folds.standard_error == pytest.approx(folds.deviation / math.sqrt(5))
    assert score_in_folds(DummyRegressor(), dataset, everything(dataset), seed=0).mean < 0


def test_few_numbers_make_for_fewer_folds_of_two_rows_at_least(read: Read) -> None:
    dataset = read("n,y\n" + "".join(f"{row},{row}.5\n" for row in range(9)))
    for rows in (9, 6, 4):
        folds = score_in_folds(LinearRegression(), dataset, tuple(range(rows)), seed=0)
        assert folds.mean == pytest.approx(1)
    with pytest.raises(TrainingError, match=r"^cross-validation needs four different training rows at least$"):
        score_in_folds(LinearRegression(), dataset, (0, 1, 2), seed=0)


def test_the_seed_alone_decides_the_folds(read: Read) -> None:
    random = np.random.default_rng(0)
    dataset = labelled(read, ["ab"[flip] for flip in random.integers(2, size=60)])
    first, again, other = (
        score_in_folds(DecisionTreeClassifier(random_state=0), dataset, everything(dataset), seed) for seed in (0, 0, 1)
    )
    assert (first.mean, first.deviation) == (again.mean, again.deviation)
    assert (first.mean, first.deviation) != (other.mean, other.deviation)


def test_a_row_that_is_repeated_is_not_known_to_the_fold_that_tests_it(read: Read) -> None:
    random = np.random.default_rng(0)
    lines = "".join(f"{random.normal():.6f},{'ab'[row % 2]}\n" for row in range(40))
    dataset = read(f"n,y\n{lines * 5}")
    folds = score_in_folds(KNeighborsClassifier(1), dataset, everything(dataset), seed=0)
    assert folds.mean < 0.8  # by heart, all would be right


def test_rows_that_are_held_out_take_no_part(read: Read) -> None:
    dataset = labelled(read, ["a"] * 20 + ["b"] * 20)
    with pytest.raises(TrainingError, match="two different training rows of each class"):
        score_in_folds(DummyClassifier(), dataset, tuple(range(21)), seed=0)
    assert score_in_folds(DummyClassifier(), dataset, tuple(range(15, 40)), seed=0).mean == 0.8


class Witness(DummyRegressor):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that notes the rows which it learns from."""

    seen: ClassVar[list[tuple[int, ...]]] = []

    def fit(self, features: pd.DataFrame, target: pd.Series) -> "Witness":
        self.seen.append(tuple(features.index))
        super().fit(features, target)
        return self


def test_the_folds_that_are_listed_are_those_that_are_learned_from(read: Read) -> None:
    dataset = read("n,y\n" + "".join(f"{row % 25},{row}.5\n" for row in range(40)))
    rows = tuple(range(3, 40))
    Witness.seen.clear()
    score_in_folds(Witness(), dataset, rows, seed=7)
    assert Witness.seen == list_folds(dataset, rows, seed=7)
    assert len({len(fold) for fold in Witness.seen}) == 1
    assert len(Witness.seen[0]) == 20
