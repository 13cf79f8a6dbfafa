"""Files of a run, in data/runs/<id>/: written once, and read with their checksums verified.

estimator.skops  the fitted estimator, in a format that runs no code when it is read
dataset.csv      the rows used, features and target; training on it again repeats the run
held_out.csv     the rows among them that were held out
"""

import hashlib
from pathlib import Path

import attrs
import skops.io

from server.disk import sync_folder, write_file
from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import Estimator
from training.runlog import ArtifactChecksums, Run

ESTIMATOR_FILE = "estimator.skops"
DATASET_FILE = "dataset.csv"
HELD_OUT_FILE = "held_out.csv"
TRUSTED_PACKAGES = ("sklearn", "numpy", "scipy")
"""Packages whose types an estimator may consist of. skops itself trusts only some of them: no trees, for one."""
TRUSTED_TYPES = frozenset({"functools.partial"})
"""HistGradientBoosting keeps a partial with its categories. The function that it calls is checked as any other type."""


@attrs.frozen(eq=False)
class Artifacts:
    """Content of a finished run's files.

    Attributes:
        estimator: The fitted estimator.
        dataset: The rows used.
        held_out: The rows among them that were held out.
    """

    estimator: Estimator
    dataset: Dataset
    held_out: Dataset


def save_artifacts(
    folder: Path, estimator: Estimator, dataset: Dataset, held_out: tuple[int, ...]
) -> ArtifactChecksums:
    """Write a run's files and wait until they are on the disk.

    Args:
        folder: The run's folder, which exists.
        estimator: The fitted estimator.
        dataset: The rows used.
        held_out: Positions of the rows that were held out.

    Returns:
        The checksums of estimator and held-out rows. That of all rows is logged when the run begins.

    Raises:
        TrainingError: If the estimator cannot be read again.
    """
    content = skops.io.dumps(estimator)
    write_file(folder / ESTIMATOR_FILE, content)
    write_file(folder / DATASET_FILE, dataset.to_csv())
    rows = dataset.to_csv(held_out)
    write_file(folder / HELD_OUT_FILE, rows)
    _load_estimator(folder / ESTIMATOR_FILE)
    sync_folder(folder)
    sync_folder(folder.parent)
    return ArtifactChecksums(estimator=hashlib.sha256(content).hexdigest(), held_out=hashlib.sha256(rows).hexdigest())


def load_artifacts(folder: Path, run: Run) -> Artifacts:
    """Read a finished run's files.

    Args:
        folder: The run's folder.
        run: The run as the log has it.

    Raises:
        TrainingError: If a file is missing, broken or not the one that the run wrote.
    """
    path = folder / ESTIMATOR_FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != run.estimator_sha256:
        raise TrainingError(f"{path}: not the estimator of run {run.id}, by its SHA-256")
    artifacts = Artifacts(
        estimator=_load_estimator(folder / ESTIMATOR_FILE),
        dataset=_read(folder / DATASET_FILE, run),
        held_out=_read(folder / HELD_OUT_FILE, run),
    )
    if artifacts.dataset.sha256() != run.dataset_sha256:
        raise TrainingError(f"{folder / DATASET_FILE}: not the rows of run {run.id}, by their SHA-256")
    if run.held_out_sha256 not in {artifacts.held_out.sha256(), None}:
        raise TrainingError(f"{folder / HELD_OUT_FILE}: not the held-out rows of run {run.id}, by their SHA-256")
    return artifacts


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
