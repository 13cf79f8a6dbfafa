"""The limits of coalescing follow from the measured cost of a run."""

import pytest

from server.coalescing.cost import WORKER_S, Cost, Mode, choose_batch_rows, choose_limits, measure
from server.coalescing.pending import Limits

IRIS = Cost(batch_s=12e-6, row_s=0.5e-6)
FOREST = Cost(batch_s=30e-6, row_s=10e-6)
MLP = Cost(batch_s=4e-3, row_s=20e-6)
SLOW = Cost(batch_s=0.0, row_s=5e-3)
ENDLESS = Cost(batch_s=1.0, row_s=1.0)


@pytest.mark.parametrize(
    ("cost", "rows"), [(IRIS, 256), (FOREST, 32), (MLP, 1024), (SLOW, 1), (ENDLESS, 1), (Cost(1e-5, 0.0), 1024)]
)
def test_a_batch_grows_while_that_saves_time_and_within_the_longest_wait(cost: Cost, rows: int) -> None:
    assert choose_batch_rows(cost) == rows
    assert rows == 1 or cost.of(rows) <= WORKER_S


@pytest.mark.parametrize(
    ("cost", "mode", "asked", "expected"),
    [
        (IRIS, "auto", None, Limits(256, 9, 1.5, on_worker=False)),
        (Cost(50e-6, 1.2e-6), "auto", None, Limits(256, 9, 1.5, on_worker=False)),
        (MLP, "auto", None, Limits(1024, 9, 1.5, on_worker=True)),
        (MLP, "inline", None, Limits(1024, 9, 1.5, on_worker=False)),
        (IRIS, "worker", None, Limits(256, 9, 1.5, on_worker=True)),
        (IRIS, "auto", 8, Limits(8, 9, 1.5, on_worker=False)),
        (IRIS, "off", 8, Limits(1, 9, 1.5, on_worker=False)),
        (SLOW, "off", None, Limits(1, 9, 1.5, on_worker=True)),
    ],
)
def test_a_long_batch_runs_on_a_worker_unless_the_mode_is_set(
    cost: Cost, mode: Mode, asked: int | None, expected: Limits
) -> None:
    assert choose_limits(cost, mode, asked, max_queue_rows=9, timeout_s=1.5) == expected


def test_the_cost_is_fitted_from_runs_of_one_row_and_of_many() -> None:
    sizes: list[int] = []
    cost = measure(sizes.append)
    assert set(sizes) == {1, 64}
    assert cost.batch_s >= 0
    assert cost.row_s >= 0
    assert cost.of(10) == cost.batch_s + 10 * cost.row_s
