"""Measures what a batch costs, and chooses from that how requests are coalesced.

The cost is fitted as ``batch_s + row_s * rows`` to the fastest run of one row and of many rows. Other load on the host
can only make a run slower.
"""

import time
from collections.abc import Callable
from typing import Literal

import attrs

from server.coalescing.pending import Limits

Mode = Literal["auto", "inline", "worker", "off"]

PROBE_ROWS = 64
PROBE_S = 0.02
"""Seconds for which each of the two sizes is measured: at least one run, after one to warm up."""
INLINE_S = 0.0005
"""Longest full batch, in seconds, that the event loop itself runs: it reads nothing meanwhile."""
LEAST_INLINE_ROWS = 32
"""Smallest batch limit chosen to fit the event loop. Below it, larger batches on a worker save more than it costs."""
WORKER_S = 0.05
"""Longest full batch on a worker, in seconds: the time that a request which just missed a batch waits for its end."""
WITHIN = 0.1
"""A batch is large enough if its fixed cost for each row is at most this fraction of `Cost.row_s`."""
LARGEST_BATCH_ROWS = 1024


@attrs.frozen
class Cost:
    """The linear cost of running a batch.

    Attributes:
        batch_s: The fixed cost of a batch, in seconds.
        row_s: The cost of each row, in seconds.
    """

    batch_s: float
    row_s: float

    def of(self, rows: int) -> float:
        """Return the seconds that one batch of `rows` rows takes."""
        return self.batch_s + self.row_s * rows


def measure(run: Callable[[int], object]) -> Cost:
    """Measure the cost of a session.

    Args:
        run: Runs a batch of the given number of rows.
    """
    one_s, many_s = (_time_fastest(run, rows) for rows in (1, PROBE_ROWS))
    row_s = max(0.0, (many_s - one_s) / (PROBE_ROWS - 1))
    return Cost(batch_s=max(0.0, one_s - row_s), row_s=row_s)


def choose_batch_rows(cost: Cost) -> int:
    """Return the smallest power of two beyond which a larger batch saves hardly any time for each row.

    With ``n`` rows a row costs ``batch_s / n + row_s``; that is within a tenth of ``row_s`` from
    ``n = 10 * batch_s / row_s`` on. No batch may take longer than `WORKER_S`, unless one row does.
    """
    rows = 1
    while rows < LARGEST_BATCH_ROWS and cost.batch_s / rows > WITHIN * cost.row_s and cost.of(2 * rows) <= WORKER_S:
        rows *= 2
    return rows


def choose_limits(cost: Cost, mode: Mode, max_batch_rows: int | None, max_queue_rows: int, timeout_s: float) -> Limits:
    """Choose how the requests of a model are coalesced.

    Args:
        cost: The cost of its session.
        mode: ``off`` runs each row by itself; ``auto`` chooses between ``inline`` and ``worker`` by the cost.
        max_batch_rows: The batch limit, if one is set.
        max_queue_rows: The queue limit.
        timeout_s: The longest time a request may take, in seconds.
    """
    rows = 1 if mode == "off" else max_batch_rows or choose_batch_rows(cost)
    if mode == "auto" and not max_batch_rows:
        rows = _fit_inline(cost, rows)
    on_worker = mode == "worker" or (mode != "inline" and cost.of(rows) > INLINE_S)
    return Limits(rows, max_queue_rows, timeout_s, on_worker)


def _fit_inline(cost: Cost, rows: int) -> int:
    """Halve a batch limit until the event loop can run it; return it whole, for a worker, if that is too small."""
    part = rows
    while part > LEAST_INLINE_ROWS and cost.of(part) > INLINE_S:
        part //= 2
    return part if cost.of(part) <= INLINE_S else rows


def _time_fastest(run: Callable[[int], object], rows: int) -> float:
    run(rows)
    end_s = time.perf_counter() + PROBE_S
    fastest_s = float("inf")
    while fastest_s == float("inf") or time.perf_counter() < end_s:
        start_s = time.perf_counter()
        run(rows)
        fastest_s = min(fastest_s, time.perf_counter() - start_s)
    return fastest_s
