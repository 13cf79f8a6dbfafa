"""Train-test split of a dataset, with every class on both sides and duplicates on one."""

import math

import attrs
import numpy as np
from sklearn.model_selection import train_test_split

from training.dataset import Dataset
from training.errors import TrainingError


@attrs.frozen
class Split:
    """Row positions of a dataset, each on one side of the split.

    Attributes:
        train: Positions of the training rows.
        held_out: Positions of the held-out rows, for testing.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]


def split_rows(dataset: Dataset, test_share: float, seed: int) -> Split:
    """Split a dataset, stratified by class. Rows with equal features go to the same side.

    Args:
        dataset: The table.
        test_share: Share of the rows to hold out, between 0 and 1. Rows with equal features count once.
        seed: Seed of the shuffle.

    Raises:
        TrainingError: If there is one class only, a class has too few rows for a row of it on both sides, or there are
            too few rows.
    """
    groups = dataset.features.groupby(list(dataset.features.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(groups, return_index=True)
    labels = dataset.target.iloc[firsts] if dataset.task == "classification" else None
    # n rows of a class give floor(n * share) or more to each side, so one row each needs 1/share of the smaller side.
    needed = math.ceil(1 / min(test_share, 1 - test_share))
    if labels is None:
        _check_rows(len(firsts), needed, test_share)
    else:
        _check_classes(dataset, labels.value_counts().to_dict(), needed, test_share)
    _, held_out = train_test_split(firsts, test_size=test_share, random_state=seed, stratify=labels)
    is_held_out = np.isin(groups, groups[held_out])
    return Split(tuple(np.flatnonzero(~is_held_out).tolist()), tuple(np.flatnonzero(is_held_out).tolist()))


def _check_rows(rows: int, needed: int, test_share: float) -> None:
    # R² of one row means nothing.
    if rows < 2 * needed:
        raise TrainingError(f"{rows} different rows: holding out {test_share:.0%} needs at least {2 * needed}")


def _check_classes(dataset: Dataset, counts: dict[object, int], needed: int, test_share: float) -> None:
    classes = dataset.target.unique().tolist()
    if len(classes) < 2:  # noqa: PLR2004  two is what "classes" means
        raise TrainingError(f"the target {dataset.target.name!r} has one class only: {classes[0]!r}")
    for label in classes:
        if counts.get(label, 0) < needed:
            raise TrainingError(
                f"class {label!r} has {counts.get(label, 0)} different rows: holding out {test_share:.0%} needs at "
                f"least {needed} of each class"
            )
