"""A run, what it left and its proof -> the page that tells of them: the story of one report.

run, artifacts, proof -> facts and plots -> HTML bytes
"""

from collections.abc import Mapping, Sequence

import numpy as np

from convert.publishing.precision import Climb
from convert.report.candidate_plots import draw_candidates
from convert.report.candidates import find_cross_validated
from convert.report.classes import colour_classes
from convert.report.columns import describe_columns, find_doubts
from convert.report.figures import Plot
from convert.report.importance import measure_importance
from convert.report.model_plots import (
    choose_curves,
    draw_calibration,
    draw_confusion,
    draw_errors,
    draw_importance,
    draw_paces,
    draw_roc,
)
from convert.report.page import Page, render
from convert.report.table_plots import draw_features, draw_pairs, draw_target
from convert.report.timing import measure_paces
from server.contract.signature import Label
from training.artifacts import Artifacts
from training.dataset import Task
from training.runlog import Run

_WORDS: Mapping[Task, str] = {"classification": "accuracy", "regression": "R²"}
"""What the score of a run is called."""


def make_report(run: Run, left: Artifacts, climbed: Climb, others: Sequence[Run]) -> bytes:
    """Makes the page of a run.

    Args:
        run: The run, finished.
        left: What it left.
        climbed: Its compiled model and the proof.
        others: Runs that it may have been compared with.

    Returns:
        One HTML document that needs nothing beside itself.
    """
    return render(gather(run, left, climbed, others))


def gather(run: Run, left: Artifacts, climbed: Climb, others: Sequence[Run]) -> Page:
    """Measures and draws all that a page tells; the arguments are those of `make_report`."""
    compiled, dataset, score = climbed.compiled, left.dataset, _WORDS[run.task]
    colours = colour_classes(dataset)
    importance = measure_importance(left.estimator, left.held_out)
    by_importance = list(importance.means) if importance else list(dataset.features.columns)
    candidates = find_cross_validated(run, others)
    paces = measure_paces(left.estimator, climbed.session, compiled.signature, dataset.features)
    return Page(
        run=run,
        score=score,
        climb=climbed,
        columns=describe_columns(dataset),
        doubts=find_doubts(dataset),
        held_out_rows=len(left.held_out.target),
        legend=colours,
        classes=len(compiled.signature.labels),
        target=draw_target(dataset, colours),
        features=draw_features(dataset, by_importance, colours),
        pairs=draw_pairs(dataset, by_importance, colours),
        candidates=candidates,
        candidates_plot=draw_candidates(candidates, score) if candidates else None,
        quality=_draw_quality(run, left, colours),
        importance=importance,
        importance_plot=draw_importance(importance, score) if importance else None,
        paces=paces,
        paces_plot=draw_paces(paces),
    )


def _draw_quality(run: Run, left: Artifacts, colours: dict[Label, str]) -> tuple[Plot, ...]:
    held_out = left.held_out
    if run.task == "regression":
        return draw_errors(held_out.target, left.estimator.predict(held_out.features))
    assert run.metrics is not None  # noqa: S101  a finished run has them
    test = run.metrics["test"]
    confusion = draw_confusion([one["label"] for one in test["classes"]], np.array(test["confusion"]))
    labels = left.estimator.classes_.tolist()
    curves = choose_curves(held_out.target, labels, left.estimator.predict_proba(held_out.features), colours)
    return (confusion, draw_roc(curves), draw_calibration(curves)) if curves else (confusion,)
