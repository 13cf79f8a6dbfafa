"""However little memory is left, some rows and one body are taken on; however much, rows are bounded."""

import sys

import pytest

from server.contract.types import MAX_TEXT_CHARS
from server.host.memory import (
    MAX_QUEUE_ROWS,
    NUMBER_BYTES,
    TEXT_BYTES,
    choose_body_bytes,
    choose_queue_rows,
    left_bytes,
)


@pytest.mark.parametrize(("workers", "left"), [(1, 160), (2, 60), (3, 26), (8, 0)])
def test_workers_share_the_memory(workers: int, left: int) -> None:
    assert left_bytes(200, 40, workers) == left


@pytest.mark.parametrize(
    ("free_bytes", "numbers", "categories", "rows"),
    [
        (0, 4, 0, 256),
        (8_000_000, 12, 0, 1016),
        (8_000_000, 5000, 0, 256),
        (80_000_000, 12, 1, 1973),
        (80_000_000, 12, 12, 256),
        (10**12, 4, 4, 65_536),
    ],
)
def test_wide_rows_are_fewer(free_bytes: int, numbers: int, categories: int, rows: int) -> None:
    assert choose_queue_rows(free_bytes, numbers, categories) == rows <= MAX_QUEUE_ROWS


def test_a_value_takes_no_more_than_is_counted() -> None:
    place_bytes = sys.getsizeof((0, 0)) - sys.getsizeof((0,))
    assert sys.getsizeof(0.5) + place_bytes <= NUMBER_BYTES
    assert sys.getsizeof("😀" + "x" * (MAX_TEXT_CHARS - 1)) + place_bytes <= TEXT_BYTES


ONE_BODY = "one body of --max-body-bytes, which is more than 1/4 of the memory left"


@pytest.mark.parametrize(
    ("free_bytes", "bodies_bytes", "why"),
    [(0, 1000, ONE_BODY), (3999, 1000, ONE_BODY), (8000, 2000, "1/4 of the memory left")],
)
def test_one_body_always_has_room(free_bytes: int, bodies_bytes: int, why: str) -> None:
    assert choose_body_bytes(free_bytes, 1000) == (bodies_bytes, why)
