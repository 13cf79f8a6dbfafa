"""Plot of the cross-validated runs: the mean score, its standard error and its standard deviation over the folds."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from convert.report.candidates import CrossValidated
from convert.report.figures import ACCENT, INK, REST, Plot, draw_axes, short

MAX_CANDIDATES = 20


def draw_candidates(candidates: Sequence[CrossValidated], score: str) -> Plot:
    """Draw the best of the candidates.

    Args:
        candidates: The candidates, the best first.
        score: The name of their score.
    """
    shown = candidates[:MAX_CANDIDATES]

    def paint(axes: Axes) -> None:
        for position, one in enumerate(shown):
            colour = ACCENT if one.is_this else REST
            axes.errorbar(one.mean, position, xerr=one.deviation, color=colour, elinewidth=1, alpha=0.6)
            axes.errorbar(one.mean, position, xerr=one.standard_error, color=colour, elinewidth=4, marker="o")
        best = shown[0]
        axes.axvline(best.mean - best.standard_error, color=INK, alpha=0.35, linewidth=0.8, linestyle=(0, (4, 4)))
        axes.set_yticks(range(len(shown)), [short(one.model, 26) for one in shown])
        axes.invert_yaxis()
        axes.set_xlabel(f"{score} over the folds")

    note = (
        "Thick: the mean and its standard error; thin: one standard deviation over the folds; dashed: the best mean "
        "less its standard error."
    )
    return draw_axes("Candidates by cross-validation", paint, (6.4, 1.0 + 0.3 * len(shown)), note)
