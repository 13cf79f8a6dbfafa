"""Dataset + rows to learn from -> nothing, or why histograms cannot be made of a column; it knows nothing of runs."""

from training.dataset import Dataset
from training.errors import TrainingError
from training.pipelines import Needs


def check_bins(dataset: Dataset, rows: tuple[int, ...], needs: Needs) -> None:
    """Refuses, for a model that bins what it is given, what would make its fit fail without a word of the column.

    Args:
        dataset: The table.
        rows: Positions of the rows to learn from.
        needs: What the model needs.

    Raises:
        TrainingError: If a column of numbers has none in these rows, and gaps are not filled.
    """
    if needs.filled or not needs.codes:
        return
    missing = dataset.features.iloc[list(rows)].isna().all()
    for name in missing.index[missing]:
        raise TrainingError(
            f"column {name!r} has no value in the {len(rows)} rows to learn from; leave it out with --drop, or take "
            "another estimator than hist_gradient_boosting"
        )
