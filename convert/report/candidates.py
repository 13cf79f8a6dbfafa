"""Find the runs that were compared to a run by cross-validation."""

from collections.abc import Sequence

import attrs

from training.runlog import Run


@attrs.frozen
class CrossValidated:
    """A run with its scores by cross-validation.

    Attributes:
        model: The name of its model.
        estimator: The estimator's name, as it was given to training.
        is_this: True for the run that the report is about.
        mean: The mean score over the folds: accuracy, or R².
        deviation: The standard deviation of the score over the folds.
        standard_error: The standard error of the mean.
        fit_s: The duration of one fit, in seconds.
        test_score: The score on the held-out rows.
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
    """Return the cross-validated runs on the same rows with the same split, the run itself included, the best first."""
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
        if _describe_split(one) == _describe_split(run) and one.metrics and "folds" in one.metrics
    ]
    return tuple(sorted(found, key=lambda candidate: -candidate.mean))


def _describe_split(run: Run) -> tuple[object, ...]:
    return run.dataset_sha256, run.target, run.task, run.seed, run.test_share
