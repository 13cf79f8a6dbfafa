"""Colours of the classes that plots tell apart."""

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
"""The first six are the colour-blind safe palette of Okabe and Ito; all are legible on white and on black."""


def colour_classes(dataset: Dataset) -> dict[Label, str]:
    """Return a colour for each of the largest classes, as many as there are colours; empty for a regressor's target."""
    if dataset.task == "regression":
        return {}
    counts = dataset.target.value_counts(sort=False).sort_index()
    largest = counts.sort_values(ascending=False, kind="stable").index[: len(COLOURS)]
    return dict(zip(sorted(largest.tolist()), COLOURS, strict=False))
