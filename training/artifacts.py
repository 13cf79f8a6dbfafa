"""What a run leaves on disk: data/runs/<id>/ <-> estimator, all rows and held-out rows; knows nothing of the log.

estimator.skops  the fitted estimator, in a format that runs no code when it is read
dataset.csv      the rows used, features and target: train on it again and the run is repeated
held_out.csv     those of them that were not learned from
"""

import os
from pathlib import Path

import attrs
import skops.io

from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import Estimator

ESTIMATOR_FILE = "estimator.skops"
DATASET_FILE = "dataset.csv"
HELD_OUT_FILE = "held_out.csv"


@attrs.frozen(eq=False)
class Artifacts:
    """What a finished run left.

    Attributes:
        estimator: The fitted estimator.
        dataset: The rows used.
        held_out: Those that were not learned from.
    """

    estimator: Estimator
    dataset: Dataset
    held_out: Dataset


def save_artifacts(folder: Path, estimator: Estimator, dataset: Dataset, held_out: tuple[int, ...]) -> None:
    """Writes a run's files and waits until they are on the disk.

    Args:
        folder: The run's folder, which exists.
        estimator: The fitted estimator.
        dataset: The rows used.
        held_out: Positions of those that were not learned from.
    """
    _write(folder / ESTIMATOR_FILE, skops.io.dumps(estimator))
    _write(folder / DATASET_FILE, dataset.to_csv())
    _write(folder / HELD_OUT_FILE, dataset.to_csv(held_out))
    sync_folder(folder)
    sync_folder(folder.parent)


def load_artifacts(folder: Path, name: str, target: str) -> Artifacts:
    """Reads a finished run's files.

    Args:
        folder: The run's folder.
        name: The dataset's name.
        target: The column that was learned.

    Raises:
        TrainingError: If a file is missing or broken, or the estimator has types that skops does not trust.
    """
    return Artifacts(
        estimator=_load_estimator(folder / ESTIMATOR_FILE),
        dataset=read_dataset(folder / DATASET_FILE, target, name=name),
        held_out=read_dataset(folder / HELD_OUT_FILE, target, name=name),
    )


def sync_folder(folder: Path) -> None:
    """Waits until the folder's own entries are on the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def _load_estimator(path: Path) -> Estimator:
    try:
        untrusted = skops.io.get_untrusted_types(file=path)
        estimator = None if untrusted else skops.io.load(path)
    except Exception as error:  # broken bytes make zipfile and skops fail in many ways
        raise TrainingError(f"{path}: not an estimator that can be read: {error}") from error
    if untrusted:
        raise TrainingError(f"{path}: only scikit-learn's own types are loaded, found {', '.join(untrusted)}")
    return estimator


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
