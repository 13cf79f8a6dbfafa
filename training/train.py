"""One training: split, fit, evaluate, save and log."""

import platform
import time
from pathlib import Path

import attrs
import sklearn

from training.artifacts import save_artifacts
from training.dataset import Dataset
from training.errors import TrainingError
from training.estimators import Choice, seed_estimator
from training.folds import list_folds, score_in_folds
from training.metrics import Metrics, evaluate
from training.pipelines import check_bins
from training.runlog import Run, RunConfig, RunLog
from training.split import Split, split_rows


def train(  # noqa: PLR0913  each says one thing of the run
    dataset: Dataset, choice: Choice, *, seed: int, test_share: float, data_dir: Path, in_folds: bool = False
) -> Run:
    """Train on a dataset; evaluate, save and log the run.

    Args:
        dataset: The table.
        choice: The estimator to fit.
        seed: Seed of the split, and of every random state of the estimator that is None.
        test_share: Share of the rows to hold out, between 0 and 1.
        data_dir: Folder of the run log and of the runs' files.
        in_folds: Whether to cross-validate too, on the training rows.

    Returns:
        The finished run.

    Raises:
        TrainingError: If the table cannot be split or does not suit the estimator: no run is logged. If the estimator
            fails: a failed run is logged.
    """
    split = split_rows(dataset, test_share, seed)
    for rows in (split.train, *(list_folds(dataset, split.train, seed) if in_folds else ())):
        check_bins(dataset, rows, choice.needs)
    seed_estimator(choice.estimator, seed)
    log = RunLog(data_dir)
    start = time.perf_counter()
    with log.begin(_configure(dataset, choice, seed, test_share)) as run_id:
        try:
            folds = score_in_folds(choice.estimator, dataset, split.train, seed) if in_folds else None
            metrics = {side: attrs.asdict(of) for side, of in _fit(dataset, choice, split).items()}
            if folds is not None:
                metrics["folds"] = attrs.asdict(folds)
            checksums = save_artifacts(log.folder(run_id), choice.estimator, dataset, split.held_out)
            duration_s = time.perf_counter() - start
            log.finish(run_id, metrics, checksums, duration_s)
        except BaseException as error:
            log.fail(run_id, f"{type(error).__name__}: {error}", time.perf_counter() - start)
            if not isinstance(error, Exception):
                raise
            raise TrainingError(f"run {run_id} failed: {type(error).__name__}: {error}") from error
    return log.find(run_id)


def _configure(dataset: Dataset, choice: Choice, seed: int, test_share: float) -> RunConfig:
    return RunConfig(
        dataset=dataset.name,
        dataset_sha256=dataset.sha256(),
        target=str(dataset.target.name),
        task=dataset.task,
        columns=dataset.kinds(),
        rows=len(dataset.target),
        estimator=choice.spec,
        estimator_name=choice.name,
        parameters={name: _plain(value) for name, value in choice.estimator.get_params().items()},
        seed=seed,
        test_share=test_share,
        python=platform.python_version(),
        scikit_learn=sklearn.__version__,
    )


def _plain(value: object) -> object:
    """Return a parameter as JSON can hold it: a value that is not plain as the text that scikit-learn prints."""
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _fit(dataset: Dataset, choice: Choice, split: Split) -> dict[str, Metrics]:
    sides = {"train": list(split.train), "test": list(split.held_out)}
    choice.estimator.fit(dataset.features.iloc[sides["train"]], dataset.target.iloc[sides["train"]])
    return {
        side: evaluate(choice.estimator, dataset.task, dataset.features.iloc[rows], dataset.target.iloc[rows])
        for side, rows in sides.items()
    }
