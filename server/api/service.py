"""Makes the service of one loaded model: its codec, its coalescer, its metrics and its replies to errors."""

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
    """One served version of a model: all that requests for it need, whichever way they come.

    Attributes:
        name: The model's name.
        codec: Its wire format.
        coalescer: What answers its rows.
        metrics: Its instruments.
        prepared: The replies to one row, by label; none where a reply has more than a label.
        about: In words, what a run costs and how requests are coalesced.
    """

    name: str
    codec: Codec
    coalescer: Coalescer[Row, Answer]
    metrics: ModelMetrics
    prepared: PreparedReplies
    about: str

    @property
    def timeout_s(self) -> float:
        """How long a request may take where it does not say less."""
        return self.coalescer.limits.timeout_s

    def refuse(self, error: Exception) -> Reply:
        """Return the reply to an error, and count it where the request was shed or late."""
        if isinstance(error, OverloadedError):
            self.metrics.rejections[error.reason] += 1
        elif isinstance(error, DeadlineError):
            self.metrics.rejections["expired"] += 1
        return reply_to(error)


def open_service(model: Model, settings: Settings, queue_rows: int) -> Service:
    """Measure what a model costs, choose how its requests are coalesced, and say so in the log.

    Args:
        model: What answers.
        settings: What was asked for.
        queue_rows: How many rows may wait for it.
    """
    manifest = model.manifest
    row = model.codec.decode_row(manifest.golden[0].to_request())
    cost = measure(lambda rows: model.session.run([row] * rows))
    why, mode = ("asked for" if settings.coalescing != "auto" else "measured"), settings.coalescing
    if not model.batch_invariant:
        why, mode = "answers change with the batch by more than the certificate's tolerance", "off"
    chosen = choose_limits(cost, mode, settings.max_batch_rows or None, queue_rows, settings.deadline_ms / 1000)
    # No batch is larger than the ones in which the model was proven equal.
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
    return Service(manifest.name, model.codec, coalescer, metrics, prepared, _about(cost, limits, why))


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


def _about(cost: Cost, limits: Limits, why: str) -> str:
    together = "each row runs by itself"
    if limits.max_batch_rows > 1:
        place = "a thread of their own" if limits.on_worker else "the event loop"
        together = f"up to {limits.max_batch_rows} rows run together, on {place}"
    return f"A run takes {cost.batch_s * 1e6:.1f} us and {cost.row_s * 1e6:.2f} us a row; {together} ({why})."


def _estimate(batch_s: float, row_s: float, max_batch_rows: int) -> Callable[[int], float]:
    """Gives the seconds that a number of rows takes, in batches as large as may be."""
    return lambda rows: -(-rows // max_batch_rows) * batch_s + rows * row_s
