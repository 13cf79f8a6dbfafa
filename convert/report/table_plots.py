"""Plots of a dataset: the target, each feature by class, and pairs of features."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from convert.report.classes import COLOURS
from convert.report.columns import is_number
from convert.report.figures import ACCENT, INK, REST, Plot, draw, draw_axes, short
from server.contract.signature import Label
from server.contract.types import MAX_INTEGER
from training.columns import Column
from training.dataset import Dataset

MAX_CLASSES, MAX_FEATURES, MAX_CATEGORIES = 20, 20, 8
MAX_PAIRED, MAX_PAIRED_ROWS = 5, 1000
OVERLAID_CLASSES = 4
"""The most histograms that are legible on top of each other; more classes are drawn as boxes side by side."""
MIN_BINS, MAX_BINS = 6, 30
_SEED = 0
_QUANTITY = LinearSegmentedColormap.from_list("quantity", ["#56b4e9", "#0072b2", "#cc79a7", "#d55e00", "#e69f00"])


def draw_target(dataset: Dataset, colours: Mapping[Label, str]) -> Plot:
    """Draw the number of rows of each class, or the distribution of a regressor's target."""
    target = dataset.target
    if dataset.task == "regression":
        return draw_axes(f"{short(target.name)}: the target", lambda axes: _paint_quantity(axes, target, "rows"))
    counts = target.value_counts().sort_index(ascending=False).sort_values(kind="stable").iloc[-MAX_CLASSES:]

    def paint(axes: Axes) -> None:
        bars = axes.barh(
            range(len(counts)), counts, color=[colours.get(label, REST) for label in counts.index], height=0.66
        )
        shares = [f"{count:,} ({count / len(target):.0%})" for count in counts]
        axes.bar_label(bars, shares, fontsize=8.5, color=INK, padding=3)
        axes.set_yticks(range(len(counts)), [short(label) for label in counts.index])
        axes.set_xlabel("rows")
        axes.margins(x=0.25)

    left_out = target.nunique() - len(counts)
    note = f"{left_out} smaller classes are left out." if left_out else ""
    return draw_axes("Class balance", paint, (4.2, 0.9 + 0.27 * len(counts)), note)


def draw_features(dataset: Dataset, by_importance: Sequence[str], colours: Mapping[Label, str]) -> tuple[Plot, ...]:
    """Draw the distribution of each feature, by class if there are classes.

    Args:
        dataset: The table.
        by_importance: All features; if there are too many, the first ones are drawn.
        colours: The colours of the classes; empty for a regressor.
    """
    chosen = set(by_importance[:MAX_FEATURES])
    return tuple(_draw_feature(dataset, column, colours) for column in dataset.columns[:-1] if column.name in chosen)


def draw_pairs(dataset: Dataset, by_importance: Sequence[str], colours: Mapping[Label, str]) -> Plot | None:
    """Draw the most important numeric features against each other; return None if there are fewer than two."""
    numbers = {column.name for column in dataset.columns[:-1] if is_number(column)}
    order = np.random.default_rng(_SEED).permutation(len(dataset.target))[:MAX_PAIRED_ROWS]
    frame = dataset.features[[name for name in by_importance if name in numbers]].iloc[order]
    frame = frame.loc[:, frame.min() < frame.max()].iloc[:, :MAX_PAIRED]
    if len(frame.columns) < 2:  # noqa: PLR2004  a pair
        return None
    target = dataset.target.iloc[order]
    of_rows = _colour_quantity(target) if dataset.task == "regression" else _colour_classes(target, colours)
    side = 1.0 + 1.35 * len(frame.columns)
    note = f"{len(order):,} of {len(dataset.target):,} rows, drawn by lot." if len(order) < len(dataset.target) else ""
    return draw("Pair plot", lambda figure: _paint_pairs(figure, frame, of_rows), (side, side), note)


def _draw_feature(dataset: Dataset, column: Column, classes: Mapping[Label, str]) -> Plot:
    values, target = dataset.features[column.name], dataset.target
    note = f"{column.missing:,} missing" if column.missing else ""
    size = (3.1, 2.0)
    if is_number(column):
        known = values.notna()
        values, target = values[known], target[known]
        if len(classes) > OVERLAID_CLASSES:
            return draw_axes(column.name, lambda axes: _paint_boxes(axes, values, target, classes), size, note)
        return draw_axes(column.name, lambda axes: _paint_histograms(axes, values, target, classes), size, note)
    texts = _to_texts(values, column)
    return draw_axes(column.name, lambda axes: _paint_categories(axes, texts, target, classes), size, note)


def _to_texts(values: pd.Series, column: Column) -> pd.Series:
    if column.kind == "boolean":
        return values.map({1.0: "true", 0.0: "false"}).fillna("")
    return values


def _paint_histograms(axes: Axes, values: pd.Series, target: pd.Series, classes: Mapping[Label, str]) -> None:
    if not classes:
        _paint_quantity(axes, values, "")
        return
    edges = _edges(values)
    for label, colour in classes.items():
        counts, _ = np.histogram(values[target == label], edges)
        shares = counts / max(1, counts.sum())
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.28)
        axes.stairs(shares, edges, color=colour, linewidth=1.2)
    _hide_heights(axes)


def _paint_quantity(axes: Axes, values: pd.Series, label: str) -> None:
    edges = _edges(values)
    counts, _ = np.histogram(values, edges)
    axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.35)
    axes.stairs(counts, edges, color=ACCENT, linewidth=1.2)
    axes.set_ylabel(label)
    if not label:
        _hide_heights(axes)


def _paint_boxes(axes: Axes, values: pd.Series, target: pd.Series, classes: Mapping[Label, str]) -> None:
    positions = [-index for index in range(len(classes))]
    drawn = axes.boxplot(
        [values[target == label] for label in classes],
        positions=positions,
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        showcaps=False,
        manage_ticks=False,
        flierprops={"marker": ".", "markersize": 2.5},
    )
    for index, colour in enumerate(classes.values()):
        drawn["boxes"][index].set(facecolor=f"{colour}48", edgecolor=colour)
        drawn["fliers"][index].set(markeredgecolor=colour)
        for line in (drawn["medians"][index], *drawn["whiskers"][2 * index : 2 * index + 2]):
            line.set(color=colour)
    axes.set_yticks(positions, [short(label, 10) for label in classes], fontsize=7)


def _paint_categories(axes: Axes, texts: pd.Series, target: pd.Series, classes: Mapping[Label, str]) -> None:
    """Paint a bar for each category, as long as its number of rows, stacked by class."""
    counts = texts[texts != ""].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    shown = counts.index[:MAX_CATEGORIES]
    parts = {label: (target == label, colour) for label, colour in classes.items()}
    ends = np.zeros(len(shown))
    for is_class, colour in [*parts.values(), (~target.isin(list(classes)), REST if classes else ACCENT)]:
        widths = texts[is_class].value_counts().reindex(shown, fill_value=0).to_numpy()
        axes.barh(range(len(shown)), widths, left=ends, color=colour, alpha=0.8, height=0.7)
        ends += widths
    axes.set_yticks(range(len(shown)), [short(text, 14) for text in shown])
    axes.invert_yaxis()
    if len(counts) > len(shown):
        axes.set_xlabel(f"rows; {len(counts) - len(shown)} rarer values left out", fontsize=8)


def _paint_pairs(figure: Figure, frame: pd.DataFrame, colours: npt.NDArray[np.object_]) -> None:
    names = list(frame.columns)
    grid = figure.subplots(len(names), len(names), squeeze=False)
    for row, below in enumerate(names):
        for column, beside in enumerate(names):
            axes = grid[row, column]
            if column > row:
                axes.set_axis_off()
            elif column == row:
                _paint_by_colour(axes, frame[beside], colours)
            else:
                axes.scatter(frame[beside], frame[below], s=5, c=colours, alpha=0.65, linewidths=0, rasterized=True)
            _name_edges(axes, short(beside, 16), short(below, 16), is_left=column == 0, is_lowest=row == len(names) - 1)


def _paint_by_colour(axes: Axes, values: pd.Series, colours: npt.NDArray[np.object_]) -> None:
    """Paint the distribution of the rows of each colour; of all rows if there are too many colours."""
    edges = _edges(values.dropna())
    distinct = sorted(set(colours.tolist()))
    groups = {colour: colours == colour for colour in distinct} if len(distinct) <= len(COLOURS) + 1 else {}
    for colour, is_of in (groups or {ACCENT: values.notna()}).items():
        counts, _ = np.histogram(values[is_of].dropna(), edges)
        axes.stairs(counts / max(1, counts.sum()), edges, color=colour, linewidth=1.2)


def _name_edges(axes: Axes, beside: str, below: str, *, is_left: bool, is_lowest: bool) -> None:
    axes.tick_params(labelsize=7, labelleft=False, labelbottom=is_lowest, left=False)
    if is_lowest:
        axes.set_xlabel(beside, fontsize=8)
    if is_left:
        axes.set_ylabel(below, fontsize=8)


def _colour_classes(target: pd.Series, colours: Mapping[Label, str]) -> npt.NDArray[np.object_]:
    return np.array([colours.get(label, REST) for label in target.tolist()], dtype=object)


def _colour_quantity(target: pd.Series) -> npt.NDArray[np.object_]:
    ranks = target.rank(pct=True).to_numpy()
    return np.array([to_hex(colour) for colour in _QUANTITY(ranks)], dtype=object)


def _edges(values: pd.Series) -> npt.NDArray[np.float64]:
    """Return the edges of a histogram's bins; numbers that hardly differ get one for each float at most."""
    least, most = float(values.min()), float(values.max())
    if least == most:
        half = max(0.5, abs(least) / 2)
        return np.array([least - half, least + half])
    # Rice's rule: twice the cube root of the number of rows.
    bins = int(np.clip(2 * np.cbrt(len(values)), MIN_BINS, MAX_BINS))
    if (values % 1 == 0).all() and max(abs(least), abs(most)) < MAX_INTEGER / 2:
        # Integers get the same number of values in each bin; otherwise some bins would lie between two integers.
        return np.arange(least - 0.5, most + (step := np.ceil((most - least + 1) / bins)), step)
    return np.unique(np.linspace(least, most, bins + 1))


def _hide_heights(axes: Axes) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
