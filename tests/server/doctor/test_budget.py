"""A budget is parsed whole, or refused with what was expected."""

import pytest

from server.doctor.budget import Budget, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("p99_ms=5,rss_mb=200", Budget(5.0, 200.0)),
        ("rss_mb=1e2", Budget(rss_mb=100.0)),
        ("p99_ms=0.5", Budget(p99_ms=0.5)),
    ],
)
def test_a_budget_has_a_number_for_each_key(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "p99=5", "p99_ms=5,", "p99_ms=5,p99_ms=6"])
def test_an_unknown_or_repeated_key_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected each of p99_ms, rss_mb at most once, as in .*, got "):
        parse_budget(text)


@pytest.mark.parametrize("number", ["", "five", "nan", "inf", "0", "-1"])
def test_a_limit_that_is_no_number_above_zero_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=f"^expected a number above 0 for rss_mb, got '{number}'$"):
        parse_budget(f"p99_ms=1,rss_mb={number}")
