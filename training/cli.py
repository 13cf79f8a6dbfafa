"""The commands of `python -m training`: train, and print what the run log has.

Run ids go to standard output, for scripts. What is for people goes to standard error.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from training.command import data_dir_option, run_command
from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import DEFAULTS, ESTIMATORS, check_spec, choose_estimator
from training.folds import list_folds
from training.names import name_dataset
from training.options import AUTO, TrainOptions, train_options
from training.quality import check_quality
from training.runlog import SCORES, Run, RunLog
from training.show import compare, show
from training.split import split_rows
from training.train import train


def main(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 if what was asked for is refused, 2 for wrong arguments.
    """
    return run_command(_training, arguments, "python -m training")


@click.group()
def _training() -> None:
    """Train on a table, and look at what was trained."""


@_training.command("train")
@train_options
def _train(**options: Any) -> None:
    """Train on a CSV file or an SQLite table; print the run's id.

    The run is logged with its data, parameters and metrics. `python -m convert` publishes it.
    """
    print(*train_runs(TrainOptions(**options)))


@_training.command("runs")
@data_dir_option
def _runs(data_dir: Path) -> None:
    """Print the log of runs as a table."""
    runs = RunLog(data_dir).list()
    if not runs:
        print(f"no runs in {data_dir} yet", file=sys.stderr)
        return
    print(_tabulate(runs).to_string(index=False, na_rep="-", float_format="{:.3f}".format))


@_training.command("show")
@click.argument("run_id", metavar="RUN", type=int, help="The run's id, as `runs` lists it.")
@data_dir_option
def _show(run_id: int, data_dir: Path) -> None:
    """Print all that the log has of one run.

    That is its data, its parameters, its metrics, and what the gates found each time it was to be published.
    """
    log = RunLog(data_dir)
    print(show(log.find(run_id), log.list_gates(run_id)))


@_training.command("compare")
@click.argument(
    "run_ids", metavar="RUN...", type=int, nargs=-1, required=True, help="Ids of runs, as `runs` lists them."
)
@data_dir_option
def _compare(run_ids: Sequence[int], data_dir: Path) -> None:
    """Print scores and differences of runs, side by side."""
    log = RunLog(data_dir)
    print(compare([log.find(run_id) for run_id in run_ids]))


def train_runs(options: TrainOptions) -> list[int]:
    """Train as a user asks; describe the dataset and the outcome on standard error.

    Returns:
        The ids of the finished runs: several for the estimator `auto`.

    Raises:
        TrainingError: If what was asked for cannot be done.
    """
    if options.estimator not in {None, AUTO}:
        check_spec(options.estimator, options.task)
    dataset = read_dataset(
        options.source,
        options.target,
        name=name_dataset(options.name, options.table or options.source.stem),
        drop=options.drop,
        table=options.table,
        task=options.task,
    )
    _print_dataset(dataset)
    for warning in check_quality(dataset):
        print(f"warning: {warning}", file=sys.stderr)
    spec = options.estimator or DEFAULTS[dataset.task]
    if spec == AUTO:
        return _train_all(dataset, options)
    finished = _train_one(dataset, spec, options)
    _print_run(finished)
    return [finished.id]


def _train_one(dataset: Dataset, spec: str, options: TrainOptions, *, in_folds: bool = False) -> Run:
    choice = choose_estimator(spec, dataset.task, dataset.columns[:-1], options.features)
    return train(
        dataset,
        choice,
        seed=options.seed,
        test_share=options.test_share,
        data_dir=options.data_dir,
        in_folds=in_folds,
    )


def _train_all(dataset: Dataset, options: TrainOptions) -> list[int]:
    """Train and cross-validate every named estimator, each as a run; return the ids of those that finished."""
    # Rows that no estimator can be cross-validated on are refused once, and not once for each.
    list_folds(dataset, split_rows(dataset, options.test_share, options.seed).train, options.seed)
    runs: list[Run] = []
    faults: list[str] = []
    with tqdm(ESTIMATORS[dataset.task], unit="estimator", leave=False) as names:
        for name in names:
            names.set_description(name)
            try:
                runs.append(_train_one(dataset, name, options, in_folds=True))
            except TrainingError as error:
                faults.append(str(error))
    for fault in faults:
        print(f"warning: {fault}", file=sys.stderr)
    if not runs:
        raise TrainingError("no estimator could be trained")
    print(_rank(runs).to_string(index=False, float_format="{:.3f}".format), file=sys.stderr)
    return [one.id for one in runs]


def _rank(runs: Sequence[Run]) -> pd.DataFrame:
    """Tabulate the cross-validation scores of runs, the best first."""
    table = pd.DataFrame(
        {"run": run.model, "score": SCORES[run.task], **run.metrics["folds"], "held out": run.score("test")}
        for run in runs
        if run.metrics is not None
    )
    named = table.rename(columns={"standard_error": "standard error", "fit_s": "fit s"})
    return named.sort_values("mean", ascending=False, kind="stable")


def _tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "id": run.id,
            "model": run.model,
            "dataset": run.dataset,
            "started": run.started_at,
            "status": run.status if run.reason is None else f"{run.status}: {run.reason[:60]}",
            "score": SCORES[run.task],
            "train": run.score("train"),
            "test": run.score("test"),
            "seconds": run.duration_s,
        }
        for run in runs
    )
    # Where no run has a number yet, the column is of None, which would be printed as such.
    return table.astype(dict.fromkeys(("train", "test", "seconds"), float))


def _print_dataset(dataset: Dataset) -> None:
    print(f"{dataset.name}: {len(dataset.target)} rows, {dataset.task}", file=sys.stderr)
    for column in dataset.columns:
        role = " <- target" if column.name == dataset.target.name else ""
        print(f"  {column.name}: {column.kind}, {column.missing} missing{role}", file=sys.stderr)


def _print_run(run: Run) -> None:
    assert run.metrics is not None  # noqa: S101  a finished run has them
    train, test = run.metrics["train"], run.metrics["test"]
    if run.task == "regression":
        text = (
            f"R² {train['r2']:.3f} on training rows, {test['r2']:.3f} on held-out rows; mean "
            f"absolute error {test['mean_absolute_error']:.4g}, root mean squared {test['root_mean_squared_error']:.4g}"
        )
    else:
        text = (
            f"accuracy {train['accuracy']:.3f} on training rows, {test['accuracy']:.3f} on held-out rows; "
            f"log loss {test['log_loss']:.3f}\n"
            + pd.DataFrame(test["classes"]).to_string(index=False, float_format="{:.3f}".format)
            + f"\nconfusion matrix (rows: true, columns: predicted): {test['confusion']}"
        )
    print(f"{run.model}: {text}", file=sys.stderr)
