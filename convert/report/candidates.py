"""Runs -> those that were compared with one of them by cross-validation, the best first; it trains nothing."""

from collections.abc import Sequence

import attrs

from training.runlog import Run


@attrs.frozen
class CrossValidated:
    """A run that was cross-validated.

    Attributes:
        model: Its model's name.
        estimator: What was asked for.
        is_this: Whether it is the run that the page is about.
        mean: Its mean score over the folds: accuracy, or R².
        deviation: The score's standard deviation over the folds.
        standard_error: That of the mean.
        fit_s: How long one fit took, in seconds.
        test_score: Its score on the held-out rows.
    """

    model: str
    estimator: str
    is_this: bool
    mean: float
    deviation: float
    standard_error: float
    fit_s: float
    test_score: float | None


def find_cross_validated(run: Run, others: Sequence[Run]) -> tuple[CrossValidated, ...]:
    """Finds the runs whose folds can be compared: of the same rows, split alike; the run itself is among them."""
    runs = {one.id: one for one in (*others, run)}
    found = [
        CrossValidated(
            model=one.model,
            estimator=one.estimator,
            is_this=one.id == run.id,
            test_score=one.score("test"),
            **{name: one.metrics["folds"][name] for name in ("mean", "deviation", "standard_error", "fit_s")},
        )
        for _, one in sorted(runs.items())
        if _splits(one) == _splits(run) and one.metrics and "folds" in one.metrics
    ]
    return tuple(sorted(found, key=lambda candidate: -candidate.mean))


def _splits(run: Run) -> tuple[object, ...]:
    return run.dataset_sha256, run.target, run.task, run.seed, run.test_share
