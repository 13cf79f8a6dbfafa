"""What a run leaves on disk: data/runs/<id>/ <-> estimator, all rows and held-out rows.

estimator.skops  the fitted estimator, in a format that runs no code when it is read
dataset.csv      the rows used, features and target: train on it again and the run is repeated
held_out.csv     those of them that were not learned from
"""

import hashlib
from pathlib import Path

import attrs
import skops.io

from server.disk import sync_folder, write_file
from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import Estimator
from training.runlog import Run, Sums

ESTIMATOR_FILE = "estimator.skops"
DATASET_FILE = "dataset.csv"
HELD_OUT_FILE = "held_out.csv"
TRUSTED_PACKAGES = ("sklearn", "numpy", "scipy")
"""Whose types are made when an estimator is read; skops alone trusts a part of them only, not trees for one."""
TRUSTED_TYPES = frozenset({"functools.partial"})
"""HistGradientBoosting keeps one with its categories; what it calls is looked at like any other type."""


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


def save_artifacts(folder: Path, estimator: Estimator, dataset: Dataset, held_out: tuple[int, ...]) -> Sums:
    """Writes a run's files and waits until they are on the disk.

    Args:
        folder: The run's folder, which exists.
        estimator: The fitted estimator.
        dataset: The rows used.
        held_out: Positions of those that were not learned from.

    Returns:
        What binds the files to the run; the log has the SHA-256 of all rows from the run's beginning.

    Raises:
        TrainingError: If the estimator could not be read again.
    """
    content = skops.io.dumps(estimator)
    write_file(folder / ESTIMATOR_FILE, content)
    write_file(folder / DATASET_FILE, dataset.to_csv())
    rows = dataset.to_csv(held_out)
    write_file(folder / HELD_OUT_FILE, rows)
    _load_estimator(folder / ESTIMATOR_FILE)
    sync_folder(folder)
    sync_folder(folder.parent)
    return Sums(estimator=hashlib.sha256(content).hexdigest(), held_out=hashlib.sha256(rows).hexdigest())


def load_artifacts(folder: Path, run: Run) -> Artifacts:
    """Reads a finished run's files.

    Args:
        folder: The run's folder.
        run: The run as the log has it.

    Raises:
        TrainingError: If a file is missing, broken or not the one that the run left.
    """
    path = folder / ESTIMATOR_FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != run.estimator_sha256:
        raise TrainingError(f"{path}: not the estimator of run {run.id}, by its SHA-256")
    left = Artifacts(
        estimator=_load_estimator(folder / ESTIMATOR_FILE),
        dataset=_read(folder / DATASET_FILE, run),
        held_out=_read(folder / HELD_OUT_FILE, run),
    )
    if left.dataset.sha256() != run.dataset_sha256:
        raise TrainingError(f"{folder / DATASET_FILE}: not the rows of run {run.id}, by their SHA-256")
    if run.held_out_sha256 not in {left.held_out.sha256(), None}:
        raise TrainingError(f"{folder / HELD_OUT_FILE}: not the held-out rows of run {run.id}, by their SHA-256")
    return left


def _is_trusted(name: str) -> bool:
    return name in TRUSTED_TYPES or name.partition(".")[0] in TRUSTED_PACKAGES


def _read(path: Path, run: Run) -> Dataset:
    return read_dataset(path, run.target, name=run.dataset, task=run.task, kinds=run.columns)


def _load_estimator(path: Path) -> Estimator:
    try:
        unknown = skops.io.get_untrusted_types(file=path)
        foreign = [name for name in unknown if not _is_trusted(name)]
        estimator = None if foreign else skops.io.load(path, trusted=unknown)
    except Exception as error:  # broken bytes make zipfile and skops fail in many ways
        raise TrainingError(f"{path}: not an estimator that can be read: {error}") from error
    if foreign:
        raise TrainingError(
            f"{path}: only types of {', '.join(TRUSTED_PACKAGES)} are loaded, found {', '.join(foreign)}"
        )
    return estimator
