"""Both sides' answers to the same rows -> where they differ; it asks nobody and judges nothing."""

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.parity.answers import Answers
from server.contract.signature import Signature

ROUNDING = 1e-13
"""What share of the largest number others may be apart by roundings alone: a sum of some hundred products in FP64."""


@attrs.frozen(eq=False)
class Asked:
    """All rows of a proof.

    Attributes:
        kinds: What sort of row each is, in words.
        is_known: Whether each was in the training table.
        is_extreme: Whether each is far beyond what training saw.
        rows: One column a feature, as in a dataset.
    """

    kinds: npt.NDArray[np.str_]
    is_known: npt.NDArray[np.bool_]
    is_extreme: npt.NDArray[np.bool_]
    rows: pd.DataFrame


@attrs.frozen(eq=False)
class Comparison:
    """Both sides' answers to all rows, row by row.

    Attributes:
        asked: The rows.
        signature: What the model takes and gives.
        expected: The estimator's answers.
        answered: The compiled model's.
        sizes: What each row's differences are relative to: a regressor's answer, or the spread of those to known rows
            where that is larger; 1 for a classifier.
        is_flipped: Whether the labels differ.
        is_unanswered: Whether the compiled model refuses an extreme row that the estimator answers.
        is_mismatch: Whether the labels differ, or a number by more than the tolerance.
        differences: The largest difference of one number; 1 where one side alone has an answer.
    """

    asked: Asked
    signature: Signature
    expected: Answers
    answered: Answers
    sizes: npt.NDArray[np.float64]
    is_flipped: npt.NDArray[np.bool_]
    is_unanswered: npt.NDArray[np.bool_]
    is_mismatch: npt.NDArray[np.bool_]
    differences: npt.NDArray[np.float64]

    @property
    def is_replayable(self) -> npt.NDArray[np.bool_]:
        """Whether a host may be asked to replay the row."""
        is_sane: npt.NDArray[np.bool_] = ~self.asked.is_extreme & ~self.is_mismatch
        return is_sane & self.expected.is_answered


def compare(asked: Asked, expected: Answers, answered: Answers, signature: Signature, tolerance: float) -> Comparison:
    """Holds the answers of both sides against each other.

    Args:
        asked: The rows.
        expected: The estimator's answers.
        answered: The compiled model's.
        signature: What it takes and gives.
        tolerance: The largest difference of one number that is no mismatch.
    """
    is_expected, is_given = expected.is_answered, answered.is_answered
    sizes = np.ones(len(asked.rows))
    if signature.is_regressor:
        scale = _spread(expected.numbers[asked.is_known & is_expected]) or 1.0
        sizes = np.fmax(np.abs(expected.numbers[:, 0]), scale)
    gaps = np.abs(expected.numbers - answered.numbers).max(axis=1) / sizes
    is_unanswered = is_expected & ~is_given & asked.is_extreme
    # No answer on both sides is the same answer; one on one side only is as different as can be.
    differences = np.where(is_expected & is_given, gaps, np.where((is_expected == is_given) | is_unanswered, 0.0, 1.0))
    is_flipped = is_expected & is_given & (expected.labels != answered.labels)
    return Comparison(
        asked=asked,
        signature=signature,
        expected=expected,
        answered=answered,
        sizes=sizes,
        is_flipped=is_flipped,
        is_unanswered=is_unanswered,
        is_mismatch=is_flipped | (differences > tolerance),
        differences=differences,
    )


def _spread(numbers: npt.NDArray[np.float64]) -> float:
    """Gives the median distance of numbers from their median, of those not at it but for rounding; the largest at most.

    A few numbers far from all others, as a table with an outlier has them, do not move it, as they would a standard
    deviation: nothing would be a mismatch of the others any more.
    """
    largest = float(np.abs(numbers).max(initial=0))
    if not largest:
        return 0.0
    # Of shares of the largest, since a distance may be beyond a float64.
    shares = numbers / largest
    distances = np.abs(shares - np.median(shares))
    away = distances[distances > ROUNDING]
    return largest * min(1.0, float(np.median(away))) if len(away) else 0.0
