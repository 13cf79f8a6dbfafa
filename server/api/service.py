"""Makes the service of one loaded model: its codec, coalescer, metrics and error replies."""

import logging
from collections.abc import Callable

import attrs

from server.coalescing.coalescer import Coalescer
from server.coalescing.cost import Cost, choose_limits, measure
from server.coalescing.pending import BatchReport, Limits
from server.codec.json_rows import Codec
from server.contract.signature import Answer, Row
from server.errors import DeadlineError, OverloadedError
from server.models.catalog import Model
from server.settings import Settings
from server.telemetry.categories import UnknownCategories
from server.telemetry.metrics import ModelMetrics
from server.wire.prepared import PreparedReplies
from server.wire.replies import Reply, reply_to

logger = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Service:
    """One served version of a model: all that its requests need, on the fast path and through ASGI.

    Attributes:
        name: The name of the model.
        codec: The wire format of its requests and responses.
        coalescer: Queues its rows and runs them in batches.
        metrics: The counters and histograms of the model.
        prepared: The encoded replies to one row, by label; empty for a regressor.
        about: A description of the cost of a run and of how requests are coalesced.
    """

    name: str
    codec: Codec
    coalescer: Coalescer[Row, Answer]
    metrics: ModelMetrics
    prepared: PreparedReplies
    about: str

    @property
    def timeout_s(self) -> float:
        """The longest time a request may take, in seconds, unless it asks for less."""
        return self.coalescer.limits.timeout_s

    def refuse(self, error: Exception) -> Reply:
        """Return the reply to an error, and count the request if it was shed or its deadline passed."""
        if isinstance(error, OverloadedError):
            self.metrics.rejections[error.reason] += 1
        elif isinstance(error, DeadlineError):
            self.metrics.rejections["expired"] += 1
        return reply_to(error)


def open_service(model: Model, settings: Settings, queue_rows: int) -> Service:
    """Measure the cost of a model, choose how its requests are coalesced, and log the choice.

    Args:
        model: The loaded model.
        settings: The server's settings.
        queue_rows: Maximum number of its queued rows.
    """
    manifest = model.manifest
    row = model.codec.decode_row(manifest.golden[0].to_request())
    cost = measure(lambda rows: model.session.run([row] * rows))
    why, mode = ("asked for" if settings.coalescing != "auto" else "measured"), settings.coalescing
    if not model.batch_invariant:
        why, mode = "answers change with the batch by more than the certificate's tolerance", "off"
    chosen = choose_limits(cost, mode, settings.max_batch_rows or None, queue_rows, settings.deadline_ms / 1000)
    # No batch is larger than those in which the model was proven equal.
    limits = attrs.evolve(chosen, max_batch_rows=min(chosen.max_batch_rows, manifest.parity.max_batch_rows))
    unknown = UnknownCategories(manifest.signature.features)
    metrics = ModelMetrics(cost, limits, why, lambda: coalescer.statistics().queued_rows, unknown.counts)
    _log_limits(manifest.name, cost, limits, why)

    def report(batch: BatchReport) -> None:
        metrics.report(batch)
        unknown.count(batch.rows)

    coalescer = Coalescer(
        model.session.run,
        limits,
        _estimate(cost.batch_s, cost.row_s, limits.max_batch_rows),
        report if unknown.counts else metrics.report,
    )
    prepared = PreparedReplies(model.codec.known_answers)
    return Service(manifest.name, model.codec, coalescer, metrics, prepared, _describe(cost, limits, why))


def _log_limits(name: str, cost: Cost, limits: Limits, why: str) -> None:
    facts = {
        "model": name,
        "batch_us": round(cost.batch_s * 1e6, 1),
        "row_us": round(cost.row_s * 1e6, 2),
        "max_batch_rows": limits.max_batch_rows,
        "max_queue_rows": limits.max_queue_rows,
        "on_worker": limits.on_worker,
        "why": why,
    }
    logger.info("coalescing", extra={"context": facts})


def _describe(cost: Cost, limits: Limits, why: str) -> str:
    batches = "each row runs by itself"
    if limits.max_batch_rows > 1:
        thread = "a worker thread" if limits.on_worker else "the event loop"
        batches = f"up to {limits.max_batch_rows} rows run together, on {thread}"
    return f"A run takes {cost.batch_s * 1e6:.1f} us and {cost.row_s * 1e6:.2f} us a row; {batches} ({why})."


def _estimate(batch_s: float, row_s: float, max_batch_rows: int) -> Callable[[int], float]:
    """Return the function from a number of rows to the seconds that they take, in the largest batches."""
    return lambda rows: -(-rows // max_batch_rows) * batch_s + rows * row_s
