"""Every row is on one side, and every class on both."""

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.dataset import Dataset
from training.errors import TrainingError
from training.split import split_rows

Labelled = Callable[[list[str]], Dataset]


def test_a_quarter_of_iris_is_held_out_and_no_row_is_on_both_sides(iris: Dataset) -> None:
    split = split_rows(iris, 0.25, seed=42)
    assert (len(split.train), len(split.held_out)) == (112, 38)
    assert sorted(split.train + split.held_out) == list(range(150))
    assert split.train == tuple(sorted(split.train))
    assert split.held_out == tuple(sorted(split.held_out))


def test_the_seed_alone_decides_the_split(iris: Dataset) -> None:
    assert split_rows(iris, 0.25, seed=42) == split_rows(iris, 0.25, seed=42)
    assert split_rows(iris, 0.25, seed=42) != split_rows(iris, 0.25, seed=43)


@given(
    extra=st.lists(st.integers(0, 30), min_size=2, max_size=12),
    test_share=st.floats(0.02, 0.98),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_class_is_on_both_sides_however_small(extra: list[int], test_share: float, seed: int) -> None:
    needed = int(1 / min(test_share, 1 - test_share)) + 1
    labels = [f"c{number}" for number, more in enumerate(extra) for _ in range(needed + more)]
    assume(len(labels) < 1000)
    dataset = Dataset("labels", pd.DataFrame({"n": range(len(labels))}), pd.Series(labels, name="y"), ())
    split = split_rows(dataset, test_share, seed)
    assert {labels[row] for row in split.train} == {labels[row] for row in split.held_out} == set(labels)


@pytest.mark.parametrize(
    ("rows", "test_share", "message"),
    [
        (3, 0.25, "class 'rare' has 3 rows: holding out 25% needs at least 4 of each class"),
        (1, 0.5, "class 'rare' has 1 rows: holding out 50% needs at least 2 of each class"),
        (9, 0.1, "class 'rare' has 9 rows: holding out 10% needs at least 10 of each class"),
        (9, 0.9, "class 'rare' has 9 rows: holding out 90% needs at least 11 of each class"),
    ],
)
def test_a_class_with_too_few_rows_is_refused_by_name(
    dataset_of: Labelled, rows: int, test_share: float, message: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        split_rows(dataset_of(["common"] * 20 + ["rare"] * rows), test_share, seed=0)
    assert str(refusal.value) == message


def test_a_target_of_one_class_is_refused_by_its_name(dataset_of: Labelled) -> None:
    with pytest.raises(TrainingError, match=r"^the target 'y' has one class only: 'same'$"):
        split_rows(dataset_of(["same"] * 20), 0.25, seed=0)
