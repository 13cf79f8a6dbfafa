"""Plots of a model's quality on held-out rows, of its importance and of its latency.

They are scikit-learn's own displays where it has one.
"""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.legend import Legend
from matplotlib.ticker import AutoLocator, ScalarFormatter
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay, RocCurveDisplay, roc_auc_score

from convert.report.figures import ACCENT, CONTRAST, INK, Plot, draw_axes, short
from convert.report.importance import Importance
from convert.report.timing import RowLatency
from server.contract.signature import Label

MAX_MATRIX_CLASSES, MAX_IMPORTANCES = 20, 20
MANY_ROWS = 500
"""From this number of rows on a calibration curve has ten points, below it five."""
WIDE_CHARS = 30
"""Class names with more characters in total are written vertically."""
_FAINT = LinearSegmentedColormap.from_list("faint", [to_rgba(ACCENT, 0.04), to_rgba(ACCENT, 0.85)])
_WIDE = (4.4, 3.6)


def draw_confusion(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> Plot:
    """Draw the confusion matrix.

    Args:
        labels: The classes.
        confusion: Counts of rows: true classes by answered classes, both in the order of ``labels``.
    """
    largest = np.sort(np.argsort(-confusion.sum(axis=1), kind="stable")[:MAX_MATRIX_CLASSES])
    shown = confusion[np.ix_(largest, largest)]
    names = [short(labels[index], 16) for index in largest]

    def paint(axes: Axes) -> None:
        shares = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
        display = ConfusionMatrixDisplay(shares, display_labels=names)
        display.plot(
            ax=axes,
            cmap=_FAINT,
            colorbar=False,
            include_values=False,
            im_kw={"vmin": 0, "vmax": 1},
            xticks_rotation="vertical" if sum(map(len, names)) > WIDE_CHARS else "horizontal",
        )
        size = 10 if len(names) < 8 else 7  # noqa: PLR2004  the digits must have room
        for (row, column), count in np.ndenumerate(shown):
            if count:
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=size, color=INK)
        axes.set(xlabel="answered", ylabel="true")

    side = 2.6 + 0.22 * max(4, len(names))
    note = f"The {MAX_MATRIX_CLASSES} largest of {len(labels)} classes." if len(labels) > len(names) else ""
    return draw_axes("Confusion matrix", paint, (side + 0.6, side), note)


@attrs.frozen(eq=False)
class Curve:
    """One class against the rest, on the held-out rows.

    Attributes:
        label: The class.
        colour: Its colour.
        is_true: For each row, True if it belongs to the class.
        probabilities: For each row, the probability of the class that the model gave.
    """

    label: Label
    colour: str
    is_true: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]


def choose_curves(
    target: pd.Series, labels: Sequence[Label], probabilities: npt.NDArray[np.float64], colours: Mapping[Label, str]
) -> tuple[Curve, ...]:
    """Return the curves to draw: of two classes only the second; none of a class with all rows or no row.

    Args:
        target: The true classes of n rows.
        labels: All classes.
        probabilities: The n rows of probabilities, in the order of ``labels``.
        colours: The colours of the classes to draw.
    """
    wanted = labels[1:] if len(labels) == 2 else labels  # noqa: PLR2004  a binary classifier
    curves = (
        Curve(label, colours[label], (target == label).to_numpy(), probabilities[:, list(labels).index(label)])
        for label in wanted
        if label in colours
    )
    return tuple(curve for curve in curves if 0 < curve.is_true.sum() < len(target))


def draw_roc(curves: Sequence[Curve]) -> Plot:
    """Draw the ROC curve of each class against the rest."""

    def paint(axes: Axes) -> None:
        for curve in curves:
            RocCurveDisplay.from_predictions(
                curve.is_true, curve.probabilities, ax=axes, curve_kwargs={"color": curve.colour}
            )
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (4, 4)))
        _remove_legends(axes)
        axes.set(xlabel="share of other rows taken for the class", ylabel="share of its rows found")

    areas = (f"{short(curve.label)}: {roc_auc_score(curve.is_true, curve.probabilities):.3f}" for curve in curves)
    return draw_axes("ROC, each class against the rest", paint, _WIDE, f"Area under the curve: {'; '.join(areas)}.")


def draw_calibration(curves: Sequence[Curve]) -> Plot:
    """Draw the calibration curve of each class: the share of its true rows by the probability that was given."""
    bins = 10 if any(len(curve.is_true) >= MANY_ROWS for curve in curves) else 5
    style = {"ref_line": False, "marker": "o", "markersize": 4}

    def paint(axes: Axes) -> None:
        for curve in curves:
            CalibrationDisplay.from_predictions(
                curve.is_true, curve.probabilities, n_bins=bins, ax=axes, color=curve.colour, **style
            )
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (4, 4)))
        _remove_legends(axes)
        axes.set(xlabel=f"probability given (mean of {bins} bins)", ylabel="share that is true")

    return draw_axes("Calibration", paint, _WIDE, "On the dashed line a probability of 0.8 is right 8 times of 10.")


def draw_errors(target: pd.Series, answers: npt.NDArray[np.float64]) -> tuple[Plot, Plot]:
    """Draw a regressor's answers against the true numbers, and the residuals."""

    def paint(axes: Axes, kind: str) -> None:
        PredictionErrorDisplay.from_predictions(
            target,
            answers,
            kind=kind,
            subsample=1000,
            random_state=0,
            ax=axes,
            scatter_kwargs={"color": ACCENT, "alpha": 0.55, "s": 16, "linewidths": 0, "rasterized": True},
            line_kwargs={"color": INK, "alpha": 0.5, "linewidth": 0.9},
        )
        # scikit-learn spaces five ticks between the extremes, at any numbers.
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(AutoLocator())
            axis.set_major_formatter(ScalarFormatter())
        axes.set_xlabel("predicted")
        axes.set_ylabel("true" if kind == "actual_vs_predicted" else "true less predicted")

    return (
        draw_axes("Predicted and true", lambda axes: paint(axes, "actual_vs_predicted"), _WIDE),
        draw_axes("Residuals", lambda axes: paint(axes, "residual_vs_predicted"), _WIDE),
    )


def draw_importance(importance: Importance, score: str) -> Plot:
    """Draw the permutation importance of the most important features."""
    shown = list(importance.means)[:MAX_IMPORTANCES]

    def paint(axes: Axes) -> None:
        axes.barh(
            range(len(shown)),
            [importance.means[name] for name in shown],
            color=ACCENT,
            alpha=0.8,
            height=0.66,
            xerr=[importance.deviations[name] for name in shown],
            error_kw={"ecolor": INK, "elinewidth": 0.8, "alpha": 0.6},
        )
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_yticks(range(len(shown)), [short(name, 26) for name in shown])
        axes.margins(y=0.02)
        axes.invert_yaxis()
        axes.set_xlabel(f"{score} lost when the feature's values are shuffled")

    return draw_axes("Feature importance by permutation", paint, (6.4, 1.0 + 0.26 * len(shown)))


def draw_latencies(latencies: Sequence[RowLatency]) -> Plot:
    """Draw the latency per row of both sides by batch size, on logarithmic scales."""

    def paint(axes: Axes) -> None:
        sizes = [latency.rows for latency in latencies]
        for times, colour, name in (
            ([latency.estimator_us for latency in latencies], CONTRAST, "estimator"),
            ([latency.compiled_us for latency in latencies], ACCENT, "compiled"),
        ):
            axes.plot(sizes, times, color=colour, marker="o", markersize=4)
            end = (sizes[-1], times[-1])
            axes.annotate(name, end, (7, 0), textcoords="offset points", color=colour, va="center")
        axes.set(xscale="log", yscale="log", xlabel="rows in a batch", ylabel="µs per row")
        axes.set_xticks(sizes[::2], [f"{size:,}" for size in sizes[::2]])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.minorticks_off()
        axes.grid(visible=True, color=INK, alpha=0.12, linewidth=0.6)

    return draw_axes("Time per row", paint, (6.4, 3.6))


def _remove_legends(axes: Axes) -> None:
    """Remove the legends, whose content the page has."""
    for legend in axes.findobj(Legend):
        legend.remove()
    axes.set_aspect("auto")
