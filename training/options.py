"""Flags of training: what a user asks of `train`, as options of click and as one value."""

from pathlib import Path

import attrs
import click

from training.command import FILE, NumberRange, data_dir_option, with_options
from training.dataset import Task
from training.estimators import DEFAULTS, ESTIMATORS
from training.pipelines import EXPANSIONS, Expansion

AUTO = "auto"
"""The estimator's name that stands for every named one."""
MAX_SEED = 2**32 - 1
"""The largest seed that numpy takes."""


@attrs.frozen(kw_only=True)
class TrainOptions:
    """One training, or one of each named estimator, as a user asks for it.

    Attributes:
        source: A CSV file with a header, or an SQLite file.
        target: The column to learn.
        table: The table of an SQLite file.
        name: The dataset's name; None to take the file's or table's.
        drop: Columns to leave out.
        task: What to learn; None to find it from the target.
        estimator: A name, ``module:function`` or ``auto``; None for the task's default.
        features: Extra numeric features.
        test_share: Share of the rows to hold out (0 to 1).
        seed: Seed of the split and of the estimator.
        data_dir: Folder of the run log and of the runs' files.
    """

    source: Path
    target: str
    table: str | None
    name: str | None
    drop: tuple[str, ...]
    task: Task | None
    estimator: str | None
    features: Expansion
    test_share: float
    seed: int
    data_dir: Path


train_options = with_options(
    click.argument("source", metavar="CSV", type=FILE, help="A CSV file with a header, or an SQLite file."),
    click.argument("target", metavar="TARGET", help="The column to learn."),
    click.option("--table", metavar="TABLE", help="The table to read, for an SQLite file."),
    click.option(
        "--name",
        metavar="NAME",
        show_default="made from the file's or table's name",
        help="The dataset's name, which its model is published under.",
    ),
    click.option("--drop", metavar="COLUMN", multiple=True, help="Leave this column out. Can be given again."),
    click.option(
        "--task",
        type=click.Choice(["classification", "regression"]),
        show_default="found from the target's values",
        help="What to learn.",
    ),
    click.option(
        "--estimator",
        metavar="NAME",
        show_default=f"{DEFAULTS['classification']}, or {DEFAULTS['regression']} for regression",
        help=f"Classifiers: {', '.join(ESTIMATORS['classification'])}. "
        f"Regressors: {', '.join(ESTIMATORS['regression'])}. "
        f"{AUTO} trains and cross-validates all of the task's, each as a run, for convert to choose from. "
        "MODULE:FUNCTION calls a function of yours that returns an unfitted scikit-learn estimator.",
    ),
    click.option(
        "--features",
        type=click.Choice(EXPANSIONS),
        default="none",
        help="Extra numeric features: pairwise products (polynomial), cubic splines, or none.",
    ),
    click.option(
        "--test-share",
        metavar="SHARE",
        type=NumberRange(0, 1, min_open=True, max_open=True),
        default=0.25,
        help="Share of the rows to hold out for testing.",
    ),
    click.option(
        "--seed",
        metavar="SEED",
        type=click.IntRange(0, MAX_SEED),
        default=42,
        help="Seed of the split and of the estimator's random state.",
    ),
    data_dir_option,
)
