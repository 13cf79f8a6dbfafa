"""The answers to golden rows are compared with the estimator's, number by number."""

import pytest

from server.contract.manifest import GoldenRow
from server.contract.signature import Answer
from server.models.replay import _compare


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_regressors_nan_or_infinity_is_a_mismatch(number: float) -> None:
    golden = [GoldenRow({}, 2.0, ()), GoldenRow({}, 2.0, ())]
    assert _compare(golden, [Answer(2.0, ()), Answer(2.0, ())], 1e-5).first_mismatch is None
    compared = _compare(golden, [Answer(2.0, ()), Answer(number, ())], 1e-5)
    assert (compared.flips, compared.max_difference, compared.first_mismatch) == (0, float("inf"), 1)


def test_a_label_that_differs_is_a_flip_even_with_equal_probabilities() -> None:
    compared = _compare([GoldenRow({}, "a", (0.5, 0.5))], [Answer("b", (0.5, 0.5))], 1e-5)
    assert (compared.flips, compared.max_difference, compared.first_mismatch) == (1, 0.0, 0)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_nan_probability_is_a_mismatch(position: int) -> None:
    golden = [GoldenRow({}, "a", (0.5, 0.25, 0.25))]
    answered = [0.5, 0.25, 0.25]
    assert _compare(golden, [Answer("a", tuple(answered))], 1e-5).first_mismatch is None
    answered[position] = float("nan")
    assert _compare(golden, [Answer("a", tuple(answered))], 1e-5).first_mismatch == 0
