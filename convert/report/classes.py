"""Target -> the classes that plots tell apart, each with its colour; knows nothing of figures."""

from server.contract.signature import Label
from training.dataset import Dataset

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6bb1",
    "#a6761d",
    "#66a61e",
    "#7f8c8d",
)
"""The first six are Okabe and Ito's, which the colour-blind can tell apart; all stand out on white and on black."""


def colour_classes(dataset: Dataset) -> dict[Label, str]:
    """Gives the classes with the most rows, as many as there are colours, in their own order; none of a quantity."""
    if dataset.task == "regression":
        return {}
    counts = dataset.target.value_counts(sort=False).sort_index()
    largest = counts.sort_values(ascending=False, kind="stable").index[: len(COLOURS)]
    return dict(zip(sorted(largest.tolist()), COLOURS, strict=False))
