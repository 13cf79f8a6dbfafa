"""The server without its metrics, to measure their cost: batches are not reported, and no clock is read."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from server.__main__ import main
from server.api import lane
from server.coalescing import coalescer, isolation
from server.coalescing.pending import BatchReport
from server.telemetry.metrics import ModelMetrics


class StoppedClock:
    """Stands in for the module `time`."""

    @staticmethod
    def perf_counter() -> float:
        """Return the same time always."""
        return 0.0


def forget(_metrics: ModelMetrics, _batch: BatchReport) -> None:
    """Count nothing."""


if __name__ == "__main__":
    for module in (coalescer, isolation, lane):
        module.time = StoppedClock()  # type: ignore[attr-defined]
    ModelMetrics.report = forget  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
