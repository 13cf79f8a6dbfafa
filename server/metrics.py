"""What happened -> Prometheus text; batches are recorded one by one, requests counted and handed over now and then.

A request costs a few additions to plain numbers here; a batch, however many requests it answers, a few observations.
"""

from collections import Counter

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram

from server.cost import Cost
from server.pending import BatchReport, Limits

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGE_BUCKETS_US = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000)
BATCH_BUCKETS_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        every, registry = ["model"], self._registry
        self.requests = prometheus_client.Counter(
            "corolla_requests", "Requests answered.", ["model", "route", "outcome"], registry=registry
        )
        self.rejected = prometheus_client.Counter(
            "corolla_rejected", "Requests refused for want of time.", ["model", "reason"], registry=registry
        )
        self.rows = prometheus_client.Counter("corolla_rows", "Rows run.", every, registry=registry)
        self.batches = prometheus_client.Counter("corolla_batches", "Batches run.", every, registry=registry)
        self.stages = Histogram(
            "corolla_stage_us",
            "Microseconds by stage; parse and encode are a batch's mean, queue is its oldest request's.",
            ["model", "stage"],
            buckets=STAGE_BUCKETS_US,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "corolla_batch_rows", "Rows in a batch.", every, buckets=BATCH_BUCKETS_ROWS, registry=registry
        )
        self.queue_rows = Gauge("corolla_queue_rows", "Rows waiting.", every, registry=registry)
        self.cost_us = Gauge(
            "corolla_cost_us",
            "The fitted cost of a run: microseconds a batch, and a row more.",
            ["model", "part"],
            registry=registry,
        )
        self.coalescing = Gauge(
            "corolla_coalescing",
            "How requests are coalesced: the most rows of a batch, by mode and why.",
            ["model", "mode", "why"],
            registry=registry,
        )

    def text(self) -> bytes:
        """Gives all of it in Prometheus's text format."""
        return prometheus_client.generate_latest(self._registry)


class ModelMetrics:
    """One model's instruments; the integers are added to by whoever handles a request."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        """Binds the instruments to the model's name.

        Args:
            metrics: The process's instruments.
            model: The model's name.
        """
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.rejections: Counter[str] = Counter()
        self.parsed = 0
        self.parse_s = 0.0
        self.encoded = 0
        self.encode_s = 0.0
        self._metrics = metrics
        self._model = model
        self._rows = metrics.rows.labels(model)
        self._batches = metrics.batches.labels(model)
        self._batch_rows = metrics.batch_rows.labels(model)
        self._queue_rows = metrics.queue_rows.labels(model)
        self._stages = {stage: metrics.stages.labels(model, stage) for stage in ("parse", "queue", "run", "encode")}

    def describe(self, cost: Cost, limits: Limits, why: str) -> None:
        """Tells once how the model's requests are coalesced."""
        mode = "off" if limits.max_batch_rows == 1 else "worker" if limits.on_worker else "inline"
        self._metrics.coalescing.labels(self._model, mode, why).set(limits.max_batch_rows)
        self._metrics.cost_us.labels(self._model, "batch").set(cost.batch_s * 1e6)
        self._metrics.cost_us.labels(self._model, "row").set(cost.row_s * 1e6)

    def report(self, batch: BatchReport) -> None:
        """Records a batch."""
        self._rows.inc(batch.rows)
        self._batches.inc()
        self._batch_rows.observe(batch.rows)
        self._stages["queue"].observe(batch.queue_s * 1e6)
        self._stages["run"].observe(batch.run_s * 1e6)
        if self.parsed:
            self._stages["parse"].observe(self.parse_s / self.parsed * 1e6)
            self.parsed, self.parse_s = 0, 0.0
        if self.encoded:
            self._stages["encode"].observe(self.encode_s / self.encoded * 1e6)
            self.encoded, self.encode_s = 0, 0.0

    def hand_over(self, queued_rows: int) -> None:
        """Hands the counted requests to Prometheus; called now and then, and before anybody reads."""
        for (route, status), count in self.outcomes.items():
            self._metrics.requests.labels(self._model, route, str(status)).inc(count)
        for reason, count in self.rejections.items():
            self._metrics.rejected.labels(self._model, reason).inc(count)
        self.outcomes.clear()
        self.rejections.clear()
        self._queue_rows.set(queued_rows)
