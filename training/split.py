"""Dataset -> row positions to train on and to hold out, every class on both sides; knows nothing of estimators."""

import math

import attrs
import numpy as np
from sklearn.model_selection import train_test_split

from training.dataset import Dataset
from training.errors import TrainingError


@attrs.frozen
class Split:
    """Row positions of a dataset, each on one side.

    Attributes:
        train: Positions to learn from.
        held_out: Positions to test on.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]


def split_rows(dataset: Dataset, test_share: float, seed: int) -> Split:
    """Splits a dataset, stratified by class.

    Args:
        dataset: The table.
        test_share: Share of the rows to hold out, between 0 and 1.
        seed: Seed of the shuffle.

    Raises:
        TrainingError: If there is one class only, or a class has too few rows for a row of it on both sides.
    """
    counts = dataset.target.value_counts()
    if len(counts) < 2:  # noqa: PLR2004  two is what "classes" means
        raise TrainingError(f"the target {dataset.target.name!r} has one class only: {counts.index[0]!r}")
    # n rows of a class give floor(n * share) or more to each side, so one row each needs 1/share of the smaller side.
    needed = math.ceil(1 / min(test_share, 1 - test_share))
    for label, count in counts.items():
        if count < needed:
            raise TrainingError(
                f"class {label!r} has {count} rows: holding out {test_share:.0%} needs at least {needed} of each class"
            )
    positions = np.arange(len(dataset.target))
    train, held_out = train_test_split(positions, test_size=test_share, random_state=seed, stratify=dataset.target)
    return Split(tuple(sorted(train.tolist())), tuple(sorted(held_out.tolist())))
