"""However little memory is left, something is taken on; however much, not without bound."""

import pytest

from server.sizing import MAX_QUEUE_ROWS, choose_body_bytes, choose_queue_rows, left_bytes


@pytest.mark.parametrize(("workers", "left"), [(1, 160), (2, 60), (3, 26), (8, 0)])
def test_workers_share_the_memory(workers: int, left: int) -> None:
    assert left_bytes(200, 40, workers) == left


@pytest.mark.parametrize(
    ("free_bytes", "features", "rows"),
    [(0, 4, 256), (8_000_000, 12, 1016), (8_000_000, 5000, 256), (10**12, 4, 65_536)],
)
def test_wide_rows_are_fewer(free_bytes: int, features: int, rows: int) -> None:
    assert choose_queue_rows(free_bytes, features) == rows <= MAX_QUEUE_ROWS


@pytest.mark.parametrize(("free_bytes", "held_bytes"), [(0, 1000), (3999, 1000), (8000, 2000)])
def test_one_body_always_has_room(free_bytes: int, held_bytes: int) -> None:
    assert choose_body_bytes(free_bytes, 1000) == held_bytes
