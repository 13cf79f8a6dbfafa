"""Compares the answers of estimator and compiled model to the same rows."""

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.answers import Answers
from server.contract.signature import Signature

ROUNDING = 1e-13
"""Numbers that differ by less than this share of the largest are taken for equal: the rounding of a sum of some hundred
products in float64."""


@attrs.frozen(eq=False)
class ProbeTable:
    """All rows of a proof.

    Attributes:
        kinds: The kind of each row, as the certificate names it.
        is_known: Whether each row is from the training table.
        is_extreme: Whether each row is far beyond what training saw.
        rows: One column per feature, as in a dataset.
    """

    kinds: npt.NDArray[np.str_]
    is_known: npt.NDArray[np.bool_]
    is_extreme: npt.NDArray[np.bool_]
    rows: pd.DataFrame


@attrs.frozen(eq=False)
class Comparison:
    """The answers of both sides to all rows, row by row.

    Attributes:
        probes: The rows.
        signature: The compiled model's signature.
        expected: The estimator's answers.
        answered: The compiled model's answers.
        scales: What each row's differences are relative to. 1 for a classifier; for a regressor its answer, or the
            spread of its answers to known rows if that is larger.
        is_flipped: Whether the labels differ.
        is_unanswered: Whether the compiled model refuses an extreme row that the estimator answers.
        is_mismatch: Whether the labels differ, or a number by more than the tolerance.
        differences: The largest difference of one number; 1 if only one side has an answer.
    """

    probes: ProbeTable
    signature: Signature
    expected: Answers
    answered: Answers
    scales: npt.NDArray[np.float64]
    is_flipped: npt.NDArray[np.bool_]
    is_unanswered: npt.NDArray[np.bool_]
    is_mismatch: npt.NDArray[np.bool_]
    differences: npt.NDArray[np.float64]

    @property
    def is_replayable(self) -> npt.NDArray[np.bool_]:
        """Whether each row may be a golden row, which a host replays."""
        is_sane: npt.NDArray[np.bool_] = ~self.probes.is_extreme & ~self.is_mismatch
        return is_sane & self.expected.is_answered


def compare(
    probes: ProbeTable, expected: Answers, answered: Answers, signature: Signature, tolerance: float
) -> Comparison:
    """Compares the answers of both sides.

    Args:
        probes: The rows.
        expected: The estimator's answers.
        answered: The compiled model's answers.
        signature: The compiled model's signature.
        tolerance: The largest difference of one number that is no mismatch.
    """
    is_expected, is_given = expected.is_answered, answered.is_answered
    scales = np.ones(len(probes.rows))
    if signature.is_regressor:
        spread = _spread(expected.numbers[probes.is_known & is_expected]) or 1.0
        scales = np.fmax(np.abs(expected.numbers[:, 0]), spread)
    gaps = np.abs(expected.numbers - answered.numbers).max(axis=1) / scales
    is_unanswered = is_expected & ~is_given & probes.is_extreme
    # If neither side has an answer they agree; if only one has, the difference is the largest there is.
    differences = np.where(is_expected & is_given, gaps, np.where((is_expected == is_given) | is_unanswered, 0.0, 1.0))
    is_flipped = is_expected & is_given & (expected.labels != answered.labels)
    return Comparison(
        probes=probes,
        signature=signature,
        expected=expected,
        answered=answered,
        scales=scales,
        is_flipped=is_flipped,
        is_unanswered=is_unanswered,
        is_mismatch=is_flipped | (differences > tolerance),
        differences=differences,
    )


def _spread(numbers: npt.NDArray[np.float64]) -> float:
    """Returns the median absolute deviation of the numbers that differ from the median, at most the largest number.

    Outliers of a table do not move it. They would move a standard deviation, so that no difference of the other rows
    would be a mismatch any more.
    """
    largest = float(np.abs(numbers).max(initial=0))
    if not largest:
        return 0.0
    # Divided by the largest, since a distance may overflow a float64.
    shares = numbers / largest
    distances = np.abs(shares - np.median(shares))
    away = distances[distances > ROUNDING]
    return largest * min(1.0, float(np.median(away))) if len(away) else 0.0
