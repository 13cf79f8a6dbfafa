"""A session that is warm -> what a batch costs, and from that how requests are coalesced; knows nothing of HTTP.

The cost is fitted as ``batch_s + row_s * rows`` from runs of one row and of many, the quickest of each: what else the
host does can only make a run slower.
"""

import time
from collections.abc import Callable
from typing import Literal

import attrs

from server.coalescing.pending import Limits

Mode = Literal["auto", "inline", "worker", "off"]

PROBE_ROWS = 64
PROBE_S = 0.02
"""How long each of the two sizes is run for, in seconds; at least once, and a first time to warm up."""
INLINE_S = 0.0005
"""The longest full batch that the event loop itself may run: well under a millisecond."""
LEAST_INLINE_ROWS = 32
"""A batch is made smaller to fit the loop down to this; below, a worker's larger batches save more than it costs."""
WORKER_S = 0.05
"""The longest full batch on a worker: what a request that has just missed one may wait for it."""
WITHIN = 0.1
"""A batch is large enough where its share of a row is within this part of the least that a row can cost."""
LARGEST_BATCH_ROWS = 1024


@attrs.frozen
class Cost:
    """What running a batch costs.

    Attributes:
        batch_s: Whatever its rows.
        row_s: More for each row.
    """

    batch_s: float
    row_s: float

    def of(self, rows: int) -> float:
        """Gives the seconds that one batch of that many rows takes."""
        return self.batch_s + self.row_s * rows


def measure(run: Callable[[int], object]) -> Cost:
    """Fits the cost of a session.

    Args:
        run: Runs a batch of that many rows.
    """
    one_s, many_s = (_quickest(run, rows) for rows in (1, PROBE_ROWS))
    row_s = max(0.0, (many_s - one_s) / (PROBE_ROWS - 1))
    return Cost(batch_s=max(0.0, one_s - row_s), row_s=row_s)


def choose_batch_rows(cost: Cost) -> int:
    """Gives the smallest power of two beyond which a larger batch hardly saves anything.

    With ``n`` rows a row costs ``batch_s / n + row_s``; that is within a tenth of ``row_s`` from
    ``n = 10 * batch_s / row_s`` on. No batch may take longer than `WORKER_S`, unless one row does.
    """
    rows = 1
    while rows < LARGEST_BATCH_ROWS and cost.batch_s / rows > WITHIN * cost.row_s and cost.of(2 * rows) <= WORKER_S:
        rows *= 2
    return rows


def choose_limits(cost: Cost, mode: Mode, max_batch_rows: int | None, max_queue_rows: int, timeout_s: float) -> Limits:
    """Chooses how a model's requests are coalesced.

    Args:
        cost: The session's.
        mode: ``off`` runs each row by itself; ``auto`` chooses between ``inline`` and ``worker`` by the cost.
        max_batch_rows: What was asked for, if anything.
        max_queue_rows: The most rows that may wait.
        timeout_s: How long a request may take, in seconds.
    """
    rows = 1 if mode == "off" else max_batch_rows or choose_batch_rows(cost)
    if mode == "auto" and not max_batch_rows:
        rows = _fit_inline(cost, rows)
    on_worker = mode == "worker" or (mode != "inline" and cost.of(rows) > INLINE_S)
    return Limits(rows, max_queue_rows, timeout_s, on_worker)


def _fit_inline(cost: Cost, rows: int) -> int:
    """Gives the part of a batch that the loop itself may run, where that is still large; or all of it, for a worker."""
    part = rows
    while part > LEAST_INLINE_ROWS and cost.of(part) > INLINE_S:
        part //= 2
    return part if cost.of(part) <= INLINE_S else rows


def _quickest(run: Callable[[int], object], rows: int) -> float:
    run(rows)
    end_s = time.perf_counter() + PROBE_S
    quickest_s = float("inf")
    while quickest_s == float("inf") or time.perf_counter() < end_s:
        start_s = time.perf_counter()
        run(rows)
        quickest_s = min(quickest_s, time.perf_counter() - start_s)
    return quickest_s
