"""Both sides' answers to a row agree or are a mismatch, also if they are not finite."""

import math

import attrs
import numpy as np
import pandas as pd
import pytest

from convert.parity.answers import Answers
from convert.parity.comparison import Comparison, ProbeTable, compare
from server.contract.signature import Label
from tests.support.signatures import feature, signature_of

TOLERANCE = 1e-5
CLASSIFIER = signature_of([feature("n", "number")], ("a", "b"))
REGRESSOR = signature_of([feature("n", "number")], ())
NO_ANSWER = (None, (math.nan, math.nan))
SURE_A, SURE_B = ("a", (0.9, 0.1)), ("b", (0.1, 0.9))
Said = tuple[Label | None, tuple[float, ...]]


def make_rows(count: int, *, known: int = 0, extreme: bool = False) -> ProbeTable:
    return ProbeTable(
        kinds=np.array(["rows"] * count),
        is_known=np.arange(count) < known,
        is_extreme=np.full(count, extreme),
        rows=pd.DataFrame({"n": np.arange(count, dtype=np.float64)}),
    )


def answers(*said: Said) -> Answers:
    return Answers(np.array([label for label, _ in said], dtype=object), np.array([numbers for _, numbers in said]))


def compare_one(expected: Said, answered: Said, *, extreme: bool = False) -> Comparison:
    return compare(make_rows(1, extreme=extreme), answers(expected), answers(answered), CLASSIFIER, TOLERANCE)


def compare_numbers(expected: list[float], answered: list[float], known: int | None = None) -> Comparison:
    probes = make_rows(len(expected), known=len(expected) if known is None else known)
    one, other = (answers(*((None, (number,)) for number in side)) for side in (expected, answered))
    return compare(probes, one, other, REGRESSOR, TOLERANCE)


@pytest.mark.parametrize(
    ("expected", "answered", "flipped", "mismatch", "difference"),
    [
        (SURE_A, SURE_A, False, False, 0.0),
        (SURE_A, ("a", (0.9 - 9e-6, 0.1)), False, False, 9e-6),
        (SURE_A, ("a", (0.9, 0.1 + 11e-6)), False, True, 11e-6),
        (SURE_A, ("b", (0.9, 0.1)), True, True, 0.0),
        (SURE_A, SURE_B, True, True, 0.8),
        (NO_ANSWER, NO_ANSWER, False, False, 0.0),
        (NO_ANSWER, SURE_A, False, True, 1.0),
        (("a", (math.nan, 0.1)), ("a", (math.nan, 0.1)), False, False, 0.0),
        (("a", (math.nan, 0.1)), SURE_A, False, True, 1.0),
        (("a", (math.inf, 0.1)), SURE_A, False, True, 1.0),
    ],
)
def test_rows_are_alike_or_a_mismatch(
    expected: Said, answered: Said, difference: float, *, flipped: bool, mismatch: bool
) -> None:
    for compared in (compare_one(expected, answered, extreme=extreme) for extreme in (False, True)):
        assert compared.is_flipped.tolist() == [flipped]
        assert compared.is_mismatch.tolist() == [mismatch]
        assert compared.differences.tolist() == pytest.approx([difference])
        assert not compared.is_unanswered.any()


@pytest.mark.parametrize("answered", [NO_ANSWER, ("a", (0.9, math.nan)), ("a", (0.9, math.inf))])
def test_only_an_extreme_row_may_be_left_unanswered_by_the_compiled_model(answered: Said) -> None:
    lenient, strict = (compare_one(SURE_A, answered, extreme=extreme) for extreme in (True, False))
    assert (lenient.is_unanswered.tolist(), lenient.is_mismatch.tolist()) == ([True], [False])
    assert lenient.differences.tolist() == [0.0]
    assert (strict.is_unanswered.tolist(), strict.is_mismatch.tolist()) == ([False], [True])
    assert strict.differences.tolist() == [1.0]
    assert not strict.is_flipped.any()


def test_a_row_does_not_change_what_is_found_of_another() -> None:
    expected, answered = answers(SURE_A, SURE_A, NO_ANSWER, SURE_B), answers(SURE_A, SURE_B, SURE_A, NO_ANSWER)
    compared = compare(make_rows(4), expected, answered, CLASSIFIER, TOLERANCE)
    assert compared.is_mismatch.tolist() == [False, True, True, True]
    assert compared.is_flipped.tolist() == [False, True, False, False]
    assert compared.differences.tolist() == pytest.approx([0.0, 0.8, 1.0, 1.0])


def test_a_regressors_difference_is_relative_to_its_number_or_to_the_spread_of_known_ones() -> None:
    compared = compare_numbers([-10.0, 10.0, 1000.0], [-10.0 + 9e-5, 10.0, 1000.0 + 11e-3], known=2)
    assert compared.scales.tolist() == [10.0, 10.0, 1000.0]
    assert compared.differences.tolist() == pytest.approx([9e-6, 0.0, 11e-6])
    assert compared.is_mismatch.tolist() == [False, False, True]
    assert not compared.is_flipped.any()


def test_a_number_near_zero_is_measured_by_the_spread() -> None:
    compared = compare_numbers([-1.0, 0.0, 3.0, 0.0], [-1.0, 1.9e-5, 3.0, 0.0])
    assert compared.scales.tolist() == [2.0, 2.0, 3.0, 2.0]
    assert not compared.is_mismatch.any()
    assert compare_numbers([-1.0, 0.0, 3.0], [-1.0, 2.1e-5, 3.0]).is_mismatch.tolist() == [False, True, False]


@pytest.mark.parametrize("outlier", [1e4, 1e9, -1e12])
def test_a_number_far_from_all_others_hides_no_difference_of_theirs(outlier: float) -> None:
    known = [*np.linspace(-1, 1, 21).tolist(), outlier]
    compared = compare_numbers(known, [known[0] + 1e-4, *known[1:]])
    assert compared.scales[10] == pytest.approx(0.5, rel=0.3)
    assert compared.is_mismatch.tolist() == [True] + [False] * 21


def test_numbers_that_are_equal_but_for_rounding_are_no_spread() -> None:
    """As those of a target that is mostly 0, which a sum of products misses by a last bit."""
    zeros, others = np.resize([0.0, 1e-15, -1e-15], 65).tolist(), np.linspace(1, 9, 35).tolist()
    compared = compare_numbers(zeros + others, [1e-6, *zeros[1:], *others])
    assert compared.scales[0] == pytest.approx(5, rel=0.1)
    assert not compared.is_mismatch.any()


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_known_numbers_that_are_all_one_have_no_spread_to_measure_by(value: float) -> None:
    compared = compare_numbers([value, value, value], [value, value, value + 2e-5])
    assert compared.scales.tolist() == [max(1.0, value)] * 3
    assert compared.differences[2] == pytest.approx(2e-5 / max(1, value))


def test_the_spread_is_of_known_rows_that_have_an_answer() -> None:
    compared = compare_numbers([1.0, math.nan, 3.0, 500.0], [1.0, math.nan, 3.0, 500.0], known=3)
    assert compared.scales.tolist() == [1.0, 1.0, 3.0, 500.0]
    assert compare_numbers([math.nan, 2.0], [math.nan, 2.0 + 1e-4], known=1).is_mismatch.tolist() == [False, True]


@pytest.mark.parametrize("size", [1e160, 8e307, 1e-320])
def test_numbers_whose_distances_are_beyond_a_float64_have_a_spread_all_the_same(size: float) -> None:
    compared = compare_numbers([size, -size, size], [size, -size, -size])
    assert compared.scales.tolist() == pytest.approx([size] * 3)
    assert compared.is_mismatch.tolist() == [False, False, True]


def test_a_row_can_be_replayed_where_it_is_answered_alike_and_no_extreme_one() -> None:
    expected = answers(SURE_A, SURE_A, NO_ANSWER, SURE_A)
    answered = answers(SURE_A, SURE_B, NO_ANSWER, SURE_A)
    probes = attrs.evolve(make_rows(4), is_extreme=np.array([False, False, False, True]))
    compared = compare(probes, expected, answered, CLASSIFIER, TOLERANCE)
    assert compared.is_replayable.tolist() == [True, False, False, False]
