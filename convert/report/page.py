"""Page: the facts and plots of a report, rendered as one HTML document by the template beside this file.

All text is escaped; only the plots are inserted as markup.
"""

import json
from pathlib import Path

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from convert.publishing.precision import SearchResult
from convert.publishing.tables import describe_answer
from convert.report.candidates import CrossValidated
from convert.report.columns import ColumnFacts
from convert.report.figures import Plot
from convert.report.importance import Importance
from convert.report.timing import RowLatency
from server.contract.signature import Label
from server.contract.types import MAX_INTEGER
from training.runlog import Run

_TEMPLATE = "page.html"


@attrs.frozen
class Page:
    """The content of a report.

    Attributes:
        run: The run.
        score: The name of its score.
        result: Its compiled model, the proof, and the precisions that were tried.
        columns: The facts of each column, the target's first.
        warnings: Data-quality warnings about the table.
        held_out_rows: The number of held-out rows.
        legend: The colour of each class that plots tell apart.
        classes: The number of classes; 0 for a regressor.
        target: The target's plot.
        features: The plots of the features that are drawn.
        pairs: The pair plot; None for fewer than two numeric features.
        candidates: The cross-validated runs, the best first.
        candidates_plot: Their plot; None if there are none.
        quality: Plots of the answers to held-out rows.
        importance: The permutation importance of the features; None if it would take too long.
        importance_plot: Its plot.
        latencies: The latency per row of both sides, by batch size.
        latencies_plot: Their plot.
    """

    run: Run
    score: str
    result: SearchResult
    columns: tuple[ColumnFacts, ...]
    warnings: tuple[str, ...]
    held_out_rows: int
    legend: dict[Label, str]
    classes: int
    target: Plot
    features: tuple[Plot, ...]
    pairs: Plot | None
    candidates: tuple[CrossValidated, ...]
    candidates_plot: Plot | None
    quality: tuple[Plot, ...]
    importance: Importance | None
    importance_plot: Plot | None
    latencies: tuple[RowLatency, ...]
    latencies_plot: Plot


def render(page: Page) -> bytes:
    """Render a page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _format_number,
        "count": "{:,}".format,
        "answer": describe_answer,
        "row": _format_row,
        "json": _format_json,
    }
    return environment.get_template(_TEMPLATE).render(page=page).encode()


def _format_number(value: float) -> str:
    """Format a number with four significant digits, or with all digits of its integer part."""
    return f"{value:,.0f}" if 1000 <= abs(value) < MAX_INTEGER else f"{value:.4g}"  # noqa: PLR2004  it has four figures


def _format_row(row: dict[str, object]) -> str:
    return ", ".join(
        f"{name}: {f'{value:.9g}' if isinstance(value, float) else _format_json(value)}" for name, value in row.items()
    )


def _format_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
