"""Facts and plots -> one HTML document, by the template beside this file; it measures and draws nothing.

All text is escaped; the plots alone are taken as the markup that they are.
"""

import json
from pathlib import Path

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from convert.publishing.precision import Climb
from convert.report.candidates import Candidate
from convert.report.columns import ColumnFacts
from convert.report.figures import Plot
from convert.report.importance import Importance
from convert.report.timing import Pace
from server.contract.signature import Answer, Label
from server.contract.types import MAX_INTEGER
from training.runlog import Run

_TEMPLATE = "page.html"


@attrs.frozen
class Page:
    """All that a page tells.

    Attributes:
        run: The run.
        score: What its score is, in words.
        climb: Its compiled model, the proof and what was tried.
        columns: The facts of each column, the target's first.
        doubts: What is doubtful about the table.
        held_out_rows: How many rows were not learned from.
        legend: The colour of each class that is told apart.
        classes: How many classes there are.
        target: The target's plot.
        features: A plot of each feature that is drawn.
        pairs: The pair plot, where there is a pair.
        candidates: The runs that were compared, the best first.
        candidates_plot: Their plot, where there are any.
        quality: Plots of the answers to held-out rows.
        importance: What each feature counts, where it could be measured.
        importance_plot: Its plot.
        paces: What a row costs both sides.
        paces_plot: Their plot.
    """

    run: Run
    score: str
    climb: Climb
    columns: tuple[ColumnFacts, ...]
    doubts: tuple[str, ...]
    held_out_rows: int
    legend: dict[Label, str]
    classes: int
    target: Plot
    features: tuple[Plot, ...]
    pairs: Plot | None
    candidates: tuple[Candidate, ...]
    candidates_plot: Plot | None
    quality: tuple[Plot, ...]
    importance: Importance | None
    importance_plot: Plot | None
    paces: tuple[Pace, ...]
    paces_plot: Plot


def render(page: Page) -> bytes:
    """Writes the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "count": "{:,}".format, "answer": _answer, "row": _row, "json": _json}
    return environment.get_template(_TEMPLATE).render(page=page).encode()


def _number(value: float) -> str:
    """Words a number by four figures, or by all of its whole part."""
    return f"{value:,.0f}" if 1000 <= abs(value) < MAX_INTEGER else f"{value:.4g}"  # noqa: PLR2004  it has four figures


def _answer(answer: Answer | None) -> str:
    """Words an answer, with so many digits that the two sides' can be told apart."""
    if answer is None:
        return "no finite answer"
    if not answer.probabilities:
        return repr(answer.label)
    return f"{answer.label} ({', '.join(f'{value:.7g}' for value in answer.probabilities)})"


def _row(row: dict[str, object]) -> str:
    return ", ".join(
        f"{name}: {f'{value:.9g}' if isinstance(value, float) else _json(value)}" for name, value in row.items()
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
