"""Make the report of a run: measure and draw all that is on its page, and render it as HTML.

run, artifacts, search result -> Page (facts and plots) -> HTML bytes
"""

from collections.abc import Mapping, Sequence

import numpy as np

from convert.publishing.precision import SearchResult
from convert.report.candidate_plots import draw_candidates
from convert.report.candidates import find_cross_validated
from convert.report.classes import colour_classes
from convert.report.columns import describe_columns, find_warnings
from convert.report.figures import Plot
from convert.report.importance import measure_importance
from convert.report.model_plots import (
    choose_curves,
    draw_calibration,
    draw_confusion,
    draw_errors,
    draw_importance,
    draw_latencies,
    draw_roc,
)
from convert.report.page import Page, render
from convert.report.table_plots import draw_features, draw_pairs, draw_target
from convert.report.timing import measure_latencies
from server.contract.signature import Label
from training.artifacts import Artifacts
from training.dataset import Task
from training.runlog import Run

_SCORE_NAMES: Mapping[Task, str] = {"classification": "accuracy", "regression": "R²"}
"""The name of a run's score on the page."""


def make_report(run: Run, artifacts: Artifacts, result: SearchResult, others: Sequence[Run]) -> bytes:
    """Make the report of a run.

    Args:
        run: The run, finished.
        artifacts: Its estimator and its tables.
        result: Its compiled model, the session of it, and the proof.
        others: The runs that it may have been compared with.

    Returns:
        One HTML document that loads no other file.
    """
    return render(make_page(run, artifacts, result, others))


def make_page(run: Run, artifacts: Artifacts, result: SearchResult, others: Sequence[Run]) -> Page:
    """Measure and draw all that is on the page; the arguments are those of `make_report`."""
    compiled, dataset, score = result.compiled, artifacts.dataset, _SCORE_NAMES[run.task]
    colours = colour_classes(dataset)
    importance = measure_importance(artifacts.estimator, artifacts.held_out)
    by_importance = list(importance.means) if importance else list(dataset.features.columns)
    candidates = find_cross_validated(run, others)
    latencies = measure_latencies(artifacts.estimator, result.session, compiled.signature, dataset.features)
    return Page(
        run=run,
        score=score,
        result=result,
        columns=describe_columns(dataset),
        warnings=find_warnings(dataset),
        held_out_rows=len(artifacts.held_out.target),
        legend=colours,
        classes=len(compiled.signature.labels),
        target=draw_target(dataset, colours),
        features=draw_features(dataset, by_importance, colours),
        pairs=draw_pairs(dataset, by_importance, colours),
        candidates=candidates,
        candidates_plot=draw_candidates(candidates, score) if candidates else None,
        quality=_draw_quality(run, artifacts, colours),
        importance=importance,
        importance_plot=draw_importance(importance, score) if importance else None,
        latencies=latencies,
        latencies_plot=draw_latencies(latencies),
    )


def _draw_quality(run: Run, artifacts: Artifacts, colours: dict[Label, str]) -> tuple[Plot, ...]:
    held_out = artifacts.held_out
    if run.task == "regression":
        return draw_errors(held_out.target, artifacts.estimator.predict(held_out.features))
    assert run.metrics is not None  # noqa: S101  a finished run has them
    test = run.metrics["test"]
    confusion = draw_confusion([one["label"] for one in test["classes"]], np.array(test["confusion"]))
    labels = artifacts.estimator.classes_.tolist()
    curves = choose_curves(held_out.target, labels, artifacts.estimator.predict_proba(held_out.features), colours)
    return (confusion, draw_roc(curves), draw_calibration(curves)) if curves else (confusion,)
