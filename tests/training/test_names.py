"""A dataset is called what its model and its route can be called, or by another name that is asked for."""

import pytest

from training.errors import TrainingError
from training.names import name_dataset


@pytest.mark.parametrize(
    ("asked", "source", "name"),
    [
        (None, "Iris", "iris"),
        (None, "My Table (2)", "my_table_2_"),
        ("lily-2_a", "2024", "lily-2_a"),
        ("a" * 63, "Iris", "a" * 63),
    ],
)
def test_a_name_is_what_is_asked_for_or_made_of_the_source(asked: str | None, source: str, name: str) -> None:
    assert name_dataset(asked, source) == name


@pytest.mark.parametrize(
    ("asked", "source", "found"),
    [(None, "2024", "2024"), (None, "_a", "_a"), ("", "iris", ""), ("Iris", "iris", "Iris"), ("a\n", "iris", "a\n")],
)
def test_a_name_that_no_model_can_have_is_refused(asked: str | None, source: str, found: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        name_dataset(asked, source)
    expected = "expected a model name that matches [a-z][a-z0-9_-]{0,62}"
    assert str(refusal.value) == f"{expected}, got {found!r}; --name chooses another"


@pytest.mark.parametrize(("asked", "source"), [("docs", "iris"), (None, "Metrics")])
def test_a_name_that_is_a_route_of_the_servers_own_is_refused(asked: str | None, source: str) -> None:
    with pytest.raises(TrainingError, match=r"is one that the server uses itself; .*; --name chooses another$"):
        name_dataset(asked, source)
