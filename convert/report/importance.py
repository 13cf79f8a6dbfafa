"""Permutation importance of each feature on held-out rows, within a budget of time."""

import functools

import attrs
import numpy as np
from sklearn.inspection import permutation_importance

from convert.report.timing import measure_s
from training.dataset import Dataset
from training.estimators import Estimator
from training.runlog import SCORES

MAX_ROUNDS = 10
BUDGET_S = 30.0
MAX_ROWS = (1000, 100)
"""The most rows that are used; the smaller number if one permutation of each feature would take too long."""
_SEED = 0


@attrs.frozen
class Importance:
    """The score that is lost when a feature's values are shuffled among the rows.

    Attributes:
        means: The mean over the rounds, by feature, the most important first.
        deviations: The standard deviation over the rounds, by feature.
        rounds: How often each feature was shuffled.
        rows: The number of rows that were used.
    """

    means: dict[str, float]
    deviations: dict[str, float]
    rounds: int
    rows: int


def measure_importance(estimator: Estimator, held_out: Dataset, budget_s: float = BUDGET_S) -> Importance | None:
    """Measure the importance of each feature by scikit-learn's ``permutation_importance``.

    Args:
        estimator: The fitted estimator.
        held_out: The held-out rows.
        budget_s: About how long it may take, in seconds.

    Returns:
        The importance; None if not even one round fits into the budget.
    """
    for most in MAX_ROWS:
        order = np.random.default_rng(_SEED).permutation(len(held_out.target))[:most]
        features, target = held_out.features.iloc[order], held_out.target.iloc[order]
        round_s = measure_s(functools.partial(estimator.predict, features)) * len(features.columns)
        rounds = min(MAX_ROUNDS, int(budget_s / round_s))
        if rounds:
            found = permutation_importance(
                estimator, features, target, scoring=SCORES[held_out.task], n_repeats=rounds, random_state=_SEED
            )
            names = features.columns[np.argsort(-found.importances_mean, kind="stable")]
            means = dict(zip(features.columns, found.importances_mean.tolist(), strict=True))
            deviations = dict(zip(features.columns, found.importances_std.tolist(), strict=True))
            return Importance({name: means[name] for name in names}, deviations, rounds, len(order))
    return None
