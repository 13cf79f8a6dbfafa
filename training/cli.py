"""The commands of `python -m training`: arguments -> a run, or the log as a table.

What a program wants (the run's id) goes to standard output, what a person wants to standard error.
"""

import argparse
import math
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from server.errors import CorollaError
from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import DEFAULTS, ESTIMATORS, check_spec, choose_estimator
from training.folds import list_folds
from training.names import name_dataset
from training.pipelines import EXPANSIONS
from training.places import add_data_dir
from training.review import review
from training.runlog import SCORES, Run, RunLog
from training.show import compare, show
from training.split import split_rows
from training.train import train

AUTO = "auto"


def main(arguments: Sequence[str]) -> int:
    """Runs a command.

    Returns:
        The exit code: 0, or 1 where what was asked for is refused; argparse exits with 2 for wrong arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except (CorollaError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return code


def _train(options: argparse.Namespace) -> int:
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
    _tell_dataset(dataset)
    for warning in review(dataset):
        print(f"warning: {warning}", file=sys.stderr)
    spec = options.estimator or DEFAULTS[dataset.task]
    print(*(_train_all(dataset, options) if spec == AUTO else [_train_one(dataset, spec, options)]))
    return 0


def _train_one(dataset: Dataset, spec: str, options: argparse.Namespace) -> int:
    choice = choose_estimator(spec, dataset.task, dataset.columns[:-1], options.features)
    run = train(dataset, choice, seed=options.seed, test_share=options.test_share, data_dir=options.data_dir)
    _tell_run(run)
    return run.id


def _train_all(dataset: Dataset, options: argparse.Namespace) -> list[int]:
    """Trains every named estimator, each a run that is cross-validated too; gives the ids of those that finished."""
    # What no estimator could do with these rows is refused once, and not as a failure of each.
    list_folds(dataset, split_rows(dataset, options.test_share, options.seed).train, options.seed)
    runs: list[Run] = []
    faults: list[str] = []
    with tqdm(ESTIMATORS[dataset.task], unit="estimator", leave=False) as names:
        for name in names:
            names.set_description(name)
            choice = choose_estimator(name, dataset.task, dataset.columns[:-1], options.features)
            try:
                runs.append(
                    train(
                        dataset,
                        choice,
                        seed=options.seed,
                        test_share=options.test_share,
                        data_dir=options.data_dir,
                        in_folds=True,
                    )
                )
            except TrainingError as error:
                faults.append(str(error))
    for fault in faults:
        print(f"warning: {fault}", file=sys.stderr)
    if not runs:
        raise TrainingError("no estimator could be trained")
    print(_compare(runs).to_string(index=False, float_format="{:.3f}".format), file=sys.stderr)
    return [run.id for run in runs]


def _compare(runs: Sequence[Run]) -> pd.DataFrame:
    """Tells how runs did in cross-validation, the best first."""
    table = pd.DataFrame(
        {"run": run.model, "score": SCORES[run.task], **run.metrics["folds"], "held out": run.score("test")}
        for run in runs
        if run.metrics is not None
    )
    named = table.rename(columns={"standard_error": "standard error", "fit_s": "fit s"})
    return named.sort_values("mean", ascending=False, kind="stable")


def _runs(options: argparse.Namespace) -> int:
    runs = RunLog(options.data_dir).list()
    if not runs:
        print(f"no runs in {options.data_dir} yet", file=sys.stderr)
        return 0
    print(_table(runs).to_string(index=False, na_rep="-", float_format="{:.3f}".format))
    return 0


def _show(options: argparse.Namespace) -> int:
    log = RunLog(options.data_dir)
    print(show(log.find(options.run_id), log.list_gates(options.run_id)))
    return 0


def _compare_runs(options: argparse.Namespace) -> int:
    log = RunLog(options.data_dir)
    print(compare([log.find(run_id) for run_id in options.run_ids]))
    return 0


def _table(runs: Sequence[Run]) -> pd.DataFrame:
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


def _tell_dataset(dataset: Dataset) -> None:
    print(f"{dataset.name}: {len(dataset.target)} rows, {dataset.task}", file=sys.stderr)
    for column in dataset.columns:
        role = " <- target" if column.name == dataset.target.name else ""
        print(f"  {column.name}: {column.kind}, {column.missing} missing{role}", file=sys.stderr)


def _tell_run(run: Run) -> None:
    assert run.metrics is not None  # noqa: S101  a finished run has them
    train, test = run.metrics["train"], run.metrics["test"]
    if run.task == "regression":
        text = (
            f"R² {train['r2']:.3f} on training rows, {test['r2']:.3f} on held-out rows; off by "
            f"{test['mean_absolute_error']:.4g} in the mean, {test['root_mean_squared_error']:.4g} in the mean square"
        )
    else:
        text = (
            f"accuracy {run.train_accuracy:.3f} on training rows, {run.test_accuracy:.3f} on held-out rows; "
            f"log loss {test['log_loss']:.3f}\n"
            + pd.DataFrame(test["classes"]).to_string(index=False, float_format="{:.3f}".format)
            + f"\nconfusion (rows: true, columns: answered): {test['confusion']}"
        )
    print(f"{run.model}: {text}", file=sys.stderr)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, got {text}")
    return share


def _seed(text: str) -> int:
    seed = int(text) if text.isdecimal() else -1
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**32 - 1}, got {text}")
    return seed


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train on a table, and look at what was trained."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train on a CSV file or an SQLite table; prints the run's id"))
    runs = commands.add_parser("runs", help="print the log of runs as a table")
    runs.set_defaults(command=_runs)
    shown = commands.add_parser("show", help="print all that the log has of a run")
    shown.set_defaults(command=_show)
    shown.add_argument("run_id", metavar="RUN", type=int, help="the run's id")
    compared = commands.add_parser("compare", help="print what sets runs apart")
    compared.set_defaults(command=_compare_runs)
    compared.add_argument("run_ids", metavar="RUN", type=int, nargs="+", help="the runs' ids")
    for command in (runs, shown, compared):
        add_data_dir(command)
    return parser


def _add_train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=_train)
    command.add_argument("source", metavar="CSV", type=Path, help="a CSV file with a header, or an SQLite file")
    command.add_argument("target", metavar="TARGET", help="the column to learn")
    command.add_argument("--table", help="the table to read, where CSV is an SQLite file")
    command.add_argument("--name", help="the dataset's name (default: the file's, or the table's)")
    command.add_argument(
        "--task", choices=("classification", "regression"), help="what to learn (default: found from the target)"
    )
    command.add_argument(
        "--estimator",
        help=f"one of {', '.join(ESTIMATORS['classification'])}; for regression of "
        f"{', '.join(ESTIMATORS['regression'])}; {AUTO} for all of these, each a run, of which convert takes one; "
        f"or MODULE:FUNCTION that gives your own unfitted estimator "
        f"(default: {DEFAULTS['classification']}, or {DEFAULTS['regression']})",
    )
    command.add_argument(
        "--features",
        choices=EXPANSIONS,
        default="none",
        help="what is made of the numbers beside them: products of two, cubic splines, or none (default: none)",
    )
    command.add_argument(
        "--drop", metavar="COLUMN", action="append", default=[], help="a column to leave out; can be given again"
    )
    command.add_argument("--seed", type=_seed, default=42, help="seed of the split (default: 42)")
    command.add_argument("--test-share", type=_share, default=0.25, help="share of rows to hold out (default: 0.25)")
    add_data_dir(command)
