"""Held-out rows and what is said of them -> plots of how well a model does; it asks no model and reads no file.

Where scikit-learn has a display of its own it is that one.
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
from convert.report.timing import Pace
from server.contract.signature import Label

MAX_MATRIX_CLASSES, MAX_IMPORTANCES = 20, 20
MANY_ROWS = 500
"""From here on a calibration curve has ten points, else five."""
WIDE_CHARS = 30
"""Names of more characters together do not stand beside each other."""
_FAINT = LinearSegmentedColormap.from_list("faint", [to_rgba(ACCENT, 0.04), to_rgba(ACCENT, 0.85)])
_WIDE = (4.4, 3.6)


def draw_confusion(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> Plot:
    """Draws how the rows of each class are answered.

    Args:
        labels: The classes.
        confusion: Rows are true classes, columns are answers, both in the order of ``labels``.
    """
    largest = np.sort(np.argsort(-confusion.sum(axis=1), kind="stable")[:MAX_MATRIX_CLASSES])
    shown = confusion[np.ix_(largest, largest)]
    names = [short(labels[place], 16) for place in largest]

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
        size = 10 if len(names) < 8 else 7  # noqa: PLR2004  as many figures as have room
        for (row, column), count in np.ndenumerate(shown):
            if count:
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=size, color=INK)
        axes.set(xlabel="answered", ylabel="true")

    side = 2.6 + 0.22 * max(4, len(names))
    note = f"The {MAX_MATRIX_CLASSES} largest of {len(labels)} classes." if len(labels) > len(names) else ""
    return draw_axes("Confusion matrix", paint, (side + 0.6, side), note)


@attrs.frozen(eq=False)
class Curve:
    """One class against all others, on the held-out rows.

    Attributes:
        label: The class.
        colour: Its colour.
        is_true: Whether each row is of it.
        probabilities: What each row is given for it.
    """

    label: Label
    colour: str
    is_true: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]


def choose_curves(
    target: pd.Series, labels: Sequence[Label], probabilities: npt.NDArray[np.float64], colours: Mapping[Label, str]
) -> tuple[Curve, ...]:
    """Gives the classes to draw: of two the second, which the first mirrors; none that has all rows or no row.

    Args:
        target: The true classes of n rows.
        labels: All classes.
        probabilities: What the n rows are given for them.
        colours: Of those to draw.
    """
    wanted = labels[1:] if len(labels) == 2 else labels  # noqa: PLR2004  a class and the other
    curves = (
        Curve(label, colours[label], (target == label).to_numpy(), probabilities[:, list(labels).index(label)])
        for label in wanted
        if label in colours
    )
    return tuple(curve for curve in curves if 0 < curve.is_true.sum() < len(target))


def draw_roc(curves: Sequence[Curve]) -> Plot:
    """Draws the ROC curve of each class against all others."""

    def paint(axes: Axes) -> None:
        for curve in curves:
            RocCurveDisplay.from_predictions(
                curve.is_true, curve.probabilities, ax=axes, curve_kwargs={"color": curve.colour}
            )
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (4, 4)))
        _clear(axes)
        axes.set(xlabel="share of other rows taken for the class", ylabel="share of its rows found")

    areas = (f"{short(curve.label)}: {roc_auc_score(curve.is_true, curve.probabilities):.3f}" for curve in curves)
    return draw_axes("ROC, each class against the rest", paint, _WIDE, f"Area under the curve: {'; '.join(areas)}.")


def draw_calibration(curves: Sequence[Curve]) -> Plot:
    """Draws how often a class is true among the rows that are given a probability of it."""
    bins = 10 if any(len(curve.is_true) >= MANY_ROWS for curve in curves) else 5
    style = {"ref_line": False, "marker": "o", "markersize": 4}

    def paint(axes: Axes) -> None:
        for curve in curves:
            CalibrationDisplay.from_predictions(
                curve.is_true, curve.probabilities, n_bins=bins, ax=axes, color=curve.colour, **style
            )
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (4, 4)))
        _clear(axes)
        axes.set(xlabel=f"probability given (mean of {bins} bins)", ylabel="share that is true")

    return draw_axes("Calibration", paint, _WIDE, "On the dashed line a probability of 0.8 is right 8 times of 10.")


def draw_errors(target: pd.Series, answers: npt.NDArray[np.float64]) -> tuple[Plot, Plot]:
    """Draws a regressor's answers against the truth, and how far they are off."""

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
        # scikit-learn puts five ticks from the least number to the largest, wherever these are.
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
    """Draws how much of the score each feature holds, the most important ones."""
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


def draw_paces(paces: Sequence[Pace]) -> Plot:
    """Draws what a row costs each side, over the size of the batch; both scales are logarithmic."""

    def paint(axes: Axes) -> None:
        sizes = [pace.rows for pace in paces]
        for times, colour, name in (
            ([pace.estimator_us for pace in paces], CONTRAST, "estimator"),
            ([pace.compiled_us for pace in paces], ACCENT, "compiled"),
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


def _clear(axes: Axes) -> None:
    """Leaves to the page what scikit-learn has to say in legends."""
    for legend in axes.findobj(Legend):
        legend.remove()
    axes.set_aspect("auto")
