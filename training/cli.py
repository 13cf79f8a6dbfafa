"""The commands of `python -m training`: arguments -> a run, or the log as a table.

What a program wants (the run's id) goes to standard output, what a person wants to standard error.
"""

import argparse
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import ESTIMATORS, choose_estimator
from training.runlog import Run, RunLog
from training.train import train


def main(arguments: Sequence[str]) -> int:
    """Runs a command.

    Returns:
        The exit code: 0, or 1 where what was asked for is refused; argparse exits with 2 for wrong arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except (TrainingError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return code


def _train(options: argparse.Namespace) -> int:
    dataset = read_dataset(
        options.source,
        options.target,
        name=options.name or _name_of(options.table or options.source.stem),
        drop=options.drop,
        table=options.table,
    )
    _tell_dataset(dataset)
    choice = choose_estimator(options.estimator)
    run = train(dataset, choice, seed=options.seed, test_share=options.test_share, data_dir=options.data_dir)
    _tell_run(run)
    print(run.id)
    return 0


def _runs(options: argparse.Namespace) -> int:
    runs = RunLog(options.data_dir).list()
    if not runs:
        print(f"no runs in {options.data_dir} yet", file=sys.stderr)
        return 0
    print(_table(runs).to_string(index=False, na_rep="-", float_format="{:.3f}".format))
    return 0


def _table(runs: Sequence[Run]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "id": run.id,
            "model": run.model,
            "dataset": run.dataset,
            "started": run.started_at,
            "status": run.status if run.reason is None else f"{run.status}: {run.reason[:60]}",
            "train accuracy": run.train_accuracy,
            "test accuracy": run.test_accuracy,
            "seconds": run.duration_s,
        }
        for run in runs
    )
    # Where no run has a number yet, the column is of None, which would be printed as such.
    return table.astype(dict.fromkeys(("train accuracy", "test accuracy", "seconds"), float))


def _tell_dataset(dataset: Dataset) -> None:
    print(f"{dataset.name}: {len(dataset.target)} rows", file=sys.stderr)
    for column in dataset.columns:
        role = " <- target" if column.name == dataset.target.name else ""
        print(f"  {column.name}: {column.kind}, {column.missing} missing{role}", file=sys.stderr)
    for name in dataset.row_counters():
        print(f"warning: {name!r} counts the rows; if it is an identifier, leave it out with --drop", file=sys.stderr)


def _tell_run(run: Run) -> None:
    assert run.metrics is not None  # noqa: S101  a finished run has them
    test = run.metrics["test"]
    print(
        f"{run.model}: accuracy {run.train_accuracy:.3f} on training rows, {run.test_accuracy:.3f} on held-out rows; "
        f"log loss {test['log_loss']:.3f}\n"
        + pd.DataFrame(test["classes"]).to_string(index=False, float_format="{:.3f}".format)
        + f"\nconfusion (rows: true, columns: answered): {test['confusion']}",
        file=sys.stderr,
    )


def _name_of(source: str) -> str:
    """Makes a dataset's name of a file's or table's: ``Iris`` -> ``iris``."""
    return re.sub(r"[^a-z0-9_-]+", "_", source.lower())


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, got {text}")
    return share


def _seed(text: str) -> int:
    seed = int(text)
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
    _add_data_dir(runs)
    return parser


def _add_train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=_train)
    command.add_argument("source", metavar="CSV", type=Path, help="a CSV file with a header, or an SQLite file")
    command.add_argument("target", metavar="TARGET", help="the column to learn")
    command.add_argument("--table", help="the table to read, where CSV is an SQLite file")
    command.add_argument("--name", help="the dataset's name (default: the file's, or the table's)")
    command.add_argument(
        "--estimator",
        default="log_reg",
        help=f"{', '.join(ESTIMATORS)}, or MODULE:FUNCTION that gives your own unfitted estimator (default: log_reg)",
    )
    command.add_argument(
        "--drop", metavar="COLUMN", action="append", default=[], help="a column to leave out; can be given again"
    )
    command.add_argument("--seed", type=_seed, default=42, help="seed of the split (default: 42)")
    command.add_argument("--test-share", type=_share, default=0.25, help="share of rows to hold out (default: 0.25)")
    _add_data_dir(command)


def _add_data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("COROLLA_DATA_DIR") or "data"),
        help="where the log and the runs are (default: data; variable: COROLLA_DATA_DIR)",
    )
