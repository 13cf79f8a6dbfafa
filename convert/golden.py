"""Known rows + the estimator's answers -> golden rows: the hardest of each class; knows nothing of sessions."""

import pandas as pd

from convert.parity import ask_estimator
from server.manifest import GoldenRow
from server.signature import Answer
from training.estimators import Estimator

ROWS_PER_LABEL = 4


def choose_golden_rows(estimator: Estimator, known: pd.DataFrame) -> tuple[GoldenRow, ...]:
    """Picks, for each label that the estimator gives, the distinct known rows that it is least sure of.

    Args:
        estimator: The fitted estimator.
        known: All training and held-out rows.
    """
    distinct = known.drop_duplicates()
    answers = ask_estimator(estimator, distinct)
    by_doubt = sorted(range(len(answers)), key=lambda position: _margin(answers[position]))
    golden: list[GoldenRow] = []
    for label in sorted({answer.label for answer in answers}, key=str):
        hardest = [position for position in by_doubt if answers[position].label == label][:ROWS_PER_LABEL]
        golden += [_golden(distinct.iloc[position], answers[position]) for position in hardest]
    return tuple(golden)


def _margin(answer: Answer) -> float:
    """Gives how far the most probable class is ahead of the next (0 to 1)."""
    *_, second, first = sorted(answer.probabilities)
    return first - second


def _golden(row: pd.Series, answer: Answer) -> GoldenRow:
    return GoldenRow(
        row={str(name): float(value) for name, value in row.items()},
        output=answer.label,
        probabilities=tuple(answer.probabilities),
    )
