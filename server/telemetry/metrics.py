"""Counters kept as plain numbers on the hot path and rendered as Prometheus text on scrape.

A request costs a few additions here, a batch a few more. The instruments of prometheus-client itself would cost a batch
of one row a tenth of its whole time (1.5 us for each observation), so that library does the rendering only.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from server.coalescing.cost import Cost
from server.coalescing.pending import BatchReport, Limits

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGE_BUCKETS_S = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 1.0)
BATCH_BUCKETS_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STAGES = ("parse", "queue", "run", "encode")


class Tally(msgspec.Struct):
    """A histogram.

    Attributes:
        bounds: The upper bound of each bucket but the last, which has none.
        counts: How many numbers fell into each bucket.
        total: The sum of all numbers.
    """

    bounds: tuple[int | float, ...]
    counts: list[int]
    total: float = 0.0

    @classmethod
    def of(cls, bounds: tuple[int | float, ...]) -> "Tally":
        """Return an empty histogram."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def add(self, number: float) -> None:
        """Count a number."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.total += number

    def merge(self, other: "Tally") -> None:
        """Add the counts of another histogram of the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulated(self) -> list[tuple[str, float]]:
        """Return the cumulative buckets, as Prometheus counts: how many numbers were at most as large as each bound."""
        running, pairs = 0, []
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            running += count
            pairs.append((str(bound), float(running)))
        return pairs


class Counts(msgspec.Struct):
    """All counts of one model.

    Attributes:
        outcomes: Requests answered, by route and status.
        rejections: Requests refused by load shedding, by reason.
        stages: Seconds, by stage.
        batch_rows: The sizes of batches.
        queue_rows: Rows waiting at this moment.
        unseen: Values that training did not see, by the category's name.
    """

    outcomes: dict[tuple[str, int], int] = msgspec.field(default_factory=Counter)
    rejections: dict[str, int] = msgspec.field(default_factory=Counter)
    stages: dict[str, Tally] = msgspec.field(
        default_factory=lambda: {stage: Tally.of(STAGE_BUCKETS_S) for stage in STAGES}
    )
    batch_rows: Tally = msgspec.field(default_factory=lambda: Tally.of(BATCH_BUCKETS_ROWS))
    queue_rows: int = 0
    unseen: dict[str, int] = msgspec.field(default_factory=Counter)

    def merge(self, other: "Counts") -> None:
        """Add the counts of another process of the same model."""
        self.outcomes = Counter(self.outcomes) + Counter(other.outcomes)
        self.rejections = Counter(self.rejections) + Counter(other.rejections)
        self.batch_rows.merge(other.batch_rows)
        self.queue_rows += other.queue_rows
        self.unseen = Counter(self.unseen)
        self.unseen.update(other.unseen)  # a sum of counters would leave out what is still 0
        for stage, tally in self.stages.items():
            tally.merge(other.stages[stage])


class ProcessCounts(msgspec.Struct):
    """All counts of one process.

    Attributes:
        models: By the model's name.
        refusals: Requests refused before a model was asked, by status and reason.
    """

    models: dict[str, Counts]
    refusals: dict[tuple[int, str], int]


class ModelMetrics:
    """One model's instruments.

    Attributes:
        outcomes: Requests answered, by route and status; added to by whoever answers one.
        rejections: Requests refused by load shedding, by reason; the same.
        parsed: Requests decoded since the last batch.
        parse_s: How long that took.
        cost: What a run was fitted to.
        coalescing: The mode and its reason.
        max_batch_rows: The most rows of a batch.
    """

    def __init__(
        self, cost: Cost, limits: Limits, why: str, count_queued: Callable[[], int], unseen: dict[str, int]
    ) -> None:
        """Begin at zero.

        Args:
            cost: What a run was fitted to.
            limits: How the model's requests are coalesced.
            why: Why so.
            count_queued: Tells how many rows wait.
            unseen: How many values there were that training did not see; counted by whoever reads them.
        """
        self._counts = Counts(unseen=unseen)
        self._stages = self._counts.stages
        self._batch_rows = self._counts.batch_rows
        self._count_queued = count_queued
        self.outcomes = self._counts.outcomes
        self.rejections = self._counts.rejections
        self.parsed = 0
        self.parse_s = 0.0
        self.cost = cost
        self.coalescing = ("off" if limits.max_batch_rows == 1 else "worker" if limits.on_worker else "inline", why)
        self.max_batch_rows = limits.max_batch_rows

    def add_parsed(self, took_s: float) -> None:
        """Count a request that was decoded."""
        self.parse_s += took_s
        self.parsed += 1

    def add_encoded(self, took_s: float) -> None:
        """Count a reply that was encoded by itself, outside of the batch that answered it."""
        self._stages["encode"].add(took_s)

    def report(self, batch: BatchReport) -> None:
        """Count a batch, and the requests that were decoded and answered since the last."""
        stages = self._stages
        self._batch_rows.add(len(batch.rows))
        stages["queue"].add(batch.queue_s)
        stages["run"].add(batch.run_s)
        if self.parsed:
            stages["parse"].add(self.parse_s / self.parsed)
            self.parsed, self.parse_s = 0, 0.0
        stages["encode"].add(batch.settle_s / batch.requests)

    def count(self) -> Counts:
        """Return all counts so far."""
        self._counts.queue_rows = self._count_queued()
        return self._counts


class Metrics(Collector):
    """The metrics of all models and all workers."""

    def __init__(
        self,
        models: Mapping[str, ModelMetrics],
        read_others: Callable[[], Iterable[tuple[bytes, bool]]] = tuple,
        refusals: Mapping[tuple[int, str], int] = MappingProxyType({}),
    ) -> None:
        """Register the models.

        Args:
            models: This process's.
            read_others: Yields the snapshots of the other workers, and whether each is still alive.
            refusals: How many requests this process has refused before a model was asked, by status and reason.
        """
        self._models = models
        self._read_others = read_others
        self._refusals = refusals
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def snapshot(self) -> bytes:
        """Return the counts of this process, for the other workers."""
        models = {name: model.count() for name, model in self._models.items()}
        return msgspec.msgpack.encode(ProcessCounts(models, dict(self._refusals)))

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; called by prometheus-client."""
        own = _read(self.snapshot())
        counts, refusals = own.models, Counter(own.refusals)
        for snapshot, is_alive in self._read_others():
            other = _read(snapshot)
            refusals.update(other.refusals)
            for name, model in other.models.items():
                if not is_alive:
                    model.queue_rows = 0
                # Another process may serve a model that was published after this one had begun.
                counts.setdefault(name, Counts()).merge(model)
        yield from _count_families(counts)
        yield _refusal_family(refusals)
        yield from _histogram_families(counts)
        yield from self._setting_families()

    def _setting_families(self) -> Iterator[Metric]:
        cost = GaugeMetricFamily(
            "corolla_cost_seconds",
            "The fitted cost of a run: seconds for a batch, and for each of its rows.",
            labels=["model", "part"],
        )
        coalescing = GaugeMetricFamily(
            "corolla_coalescing",
            "How requests are coalesced: the most rows of a batch, by mode and why.",
            labels=["model", "mode", "why"],
        )
        for name, model in self._models.items():
            cost.add_metric([name, "batch"], model.cost.batch_s)
            cost.add_metric([name, "row"], model.cost.row_s)
            coalescing.add_metric([name, *model.coalescing], model.max_batch_rows)
        yield cost
        yield coalescing


def _read(snapshot: bytes) -> ProcessCounts:
    return msgspec.msgpack.decode(snapshot, type=ProcessCounts)


def _refusal_family(refusals: Mapping[tuple[int, str], int]) -> Metric:
    family = CounterMetricFamily(
        "corolla_refused", "Requests refused before a model was asked.", labels=["status", "reason"]
    )
    for (status, reason), count in refusals.items():
        family.add_metric([str(status), reason], count)
    return family


def _count_families(counts: dict[str, Counts]) -> Iterator[Metric]:
    requests = CounterMetricFamily("corolla_requests", "Requests answered.", labels=["model", "route", "outcome"])
    rejected = CounterMetricFamily("corolla_rejected", "Requests refused by load shedding.", labels=["model", "reason"])
    rows = CounterMetricFamily("corolla_rows", "Rows run.", labels=["model"])
    batches = CounterMetricFamily("corolla_batches", "Batches run.", labels=["model"])
    queued = GaugeMetricFamily("corolla_queue_rows", "Rows waiting.", labels=["model"])
    unseen = CounterMetricFamily(
        "corolla_unseen_categories", "Values that training did not see.", labels=["model", "feature"]
    )
    for name, model in counts.items():
        for (route, status), count in model.outcomes.items():
            requests.add_metric([name, route, str(status)], count)
        for reason, count in model.rejections.items():
            rejected.add_metric([name, reason], count)
        rows.add_metric([name], model.batch_rows.total)
        batches.add_metric([name], sum(model.batch_rows.counts))
        queued.add_metric([name], model.queue_rows)
        for feature, count in model.unseen.items():
            unseen.add_metric([name, feature], count)
    yield from (requests, rejected, rows, batches, queued, unseen)


def _histogram_families(counts: dict[str, Counts]) -> Iterator[Metric]:
    stages = HistogramMetricFamily(
        "corolla_stage_seconds",
        "Seconds by stage: parse and encode are means of a batch's requests (through ASGI encode is each reply's),"
        " queue is that of a batch's first request.",
        labels=["model", "stage"],
    )
    batch_rows = HistogramMetricFamily("corolla_batch_rows", "Rows in a batch.", labels=["model"])
    for name, model in counts.items():
        for stage, tally in model.stages.items():
            stages.add_metric([name, stage], tally.cumulated(), tally.total)
        batch_rows.add_metric([name], model.batch_rows.cumulated(), model.batch_rows.total)
    yield stages
    yield batch_rows
