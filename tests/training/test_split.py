"""Every row is on one side with those that repeat it, and every class on both."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from training.dataset import Dataset, Task, read_dataset
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


@settings(max_examples=50, deadline=None)
@given(
    extra=st.lists(st.integers(0, 30), min_size=2, max_size=12),
    test_share=st.floats(0.02, 0.98),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_class_is_on_both_sides_however_small(extra: list[int], test_share: float, seed: int) -> None:
    needed = int(1 / min(test_share, 1 - test_share)) + 1
    labels = [f"c{number}" for number, more in enumerate(extra) for _ in range(needed + more)]
    assume(len(labels) < 1000)
    dataset = Dataset(
        "labels", pd.DataFrame({"n": range(len(labels))}), pd.Series(labels, name="y"), (), "classification"
    )
    split = split_rows(dataset, test_share, seed)
    assert {labels[row] for row in split.train} == {labels[row] for row in split.held_out} == set(labels)


@pytest.mark.parametrize(
    ("rows", "test_share", "message"),
    [
        (3, 0.25, "class 'rare' has 3 different rows: holding out 25% needs at least 4 of each class"),
        (1, 0.5, "class 'rare' has 1 different rows: holding out 50% needs at least 2 of each class"),
        (9, 0.1, "class 'rare' has 9 different rows: holding out 10% needs at least 10 of each class"),
        (9, 0.9, "class 'rare' has 9 different rows: holding out 90% needs at least 11 of each class"),
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


def test_a_target_of_one_number_is_shown_as_it_stands(dataset_of: Labelled) -> None:
    with pytest.raises(TrainingError, match=r"^the target 'y' has one class only: 5$"):
        split_rows(dataset_of(["5"] * 20), 0.25, seed=0)
    with pytest.raises(TrainingError, match=r"^class True has 2 different rows: "):
        split_rows(dataset_of(["false"] * 20 + ["true"] * 2), 0.25, seed=0)


DIFFERENT = list(itertools.product([0.0, 1.0, 2.5, np.nan], ["", "red", "blue"], [0.0, 1.0, np.nan]))


@settings(max_examples=50, deadline=None)
@given(
    repeated=st.lists(st.integers(0, len(DIFFERENT) - 1), max_size=10),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 2**32 - 1),
    task=st.sampled_from(["classification", "regression"]),
)
def test_a_row_is_never_on_both_sides_however_often_it_is_repeated(
    repeated: list[int], order: random.Random, seed: int, task: Task
) -> None:
    rows = [*enumerate(DIFFERENT), *((place, DIFFERENT[place]) for place in repeated)]
    order.shuffle(rows)
    frame = pd.DataFrame([row for _, row in rows], columns=["n", "c", "m"])
    # The labels of a row and of its repetition may differ.
    target = pd.Series([float(number % 2) for number in range(len(rows))], name="y")
    split = split_rows(Dataset("repeated", frame, target, (), task), 0.3, seed)
    assert sorted(split.train + split.held_out) == list(range(len(rows)))
    assert not {rows[row][0] for row in split.train} & {rows[row][0] for row in split.held_out}
    assert set(target.iloc[list(split.train)]) == set(target.iloc[list(split.held_out)]) == {0.0, 1.0}


def test_labels_of_repeated_rows_are_counted_once(tmp_path: Path) -> None:
    source = tmp_path / "repeated.csv"
    source.write_text("n,y\n" + "".join(f"{row},common\n" for row in range(20)) + "77,rare\n" * 20)
    with pytest.raises(TrainingError, match=r"^class 'rare' has 1 different rows: holding out 25% needs at least 4"):
        split_rows(read_dataset(source, "y", name="repeated"), 0.25, seed=0)


def test_numbers_are_split_at_random_and_need_two_rows_on_each_side(dataset_of: Labelled) -> None:
    split = split_rows(dataset_of([f"{row}.5" for row in range(40)]), 0.25, seed=42)
    assert (len(split.train), len(split.held_out)) == (30, 10)
    assert sorted(split.train + split.held_out) == list(range(40))
    with pytest.raises(TrainingError, match=r"^7 different rows: holding out 25% needs at least 8$"):
        split_rows(dataset_of([f"{row}.5" for row in range(7)]), 0.25, seed=0)
    fewest = split_rows(dataset_of([f"{row}.5" for row in range(8)]), 0.25, seed=0)
    assert (len(fewest.train), len(fewest.held_out)) == (6, 2)
