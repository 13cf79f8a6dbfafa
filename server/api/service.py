"""Model + settings -> Desk: all that one model's requests need, whichever way they come in."""

import logging
from collections.abc import Callable

import attrs

from server.coalescing.coalescer import Coalescer
from server.coalescing.cost import Cost, choose_limits, measure
from server.coalescing.pending import Limits
from server.codec.json_rows import Codec
from server.contract.signature import Answer, Row
from server.errors import DeadlineError, OverloadedError
from server.models.catalog import Model
from server.settings import Settings
from server.telemetry.metrics import ModelMetrics
from server.wire.replies import Reply, reply_to

logger = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Desk:
    """Where the requests for one model are handed in.

    Attributes:
        name: The model's name.
        codec: Its wire format.
        coalescer: What answers its rows.
        metrics: Its instruments.
        about: In words, what a run costs and how requests are coalesced.
    """

    name: str
    codec: Codec
    coalescer: Coalescer[Row, Answer]
    metrics: ModelMetrics
    about: str

    def refuse(self, error: Exception) -> Reply:
        """Gives the reply to an error, and counts it where it is for want of time."""
        if isinstance(error, OverloadedError):
            self.metrics.rejections[error.reason] += 1
        elif isinstance(error, DeadlineError):
            self.metrics.rejections["expired"] += 1
        return reply_to(error)


def open_desk(model: Model, settings: Settings, queue_rows: int) -> Desk:
    """Measures what the model costs, chooses how its requests are coalesced, and says so in the log.

    Args:
        model: What answers.
        settings: What was asked for.
        queue_rows: How many rows may wait for it.
    """
    manifest = model.manifest
    # By a codec of its own: the served one counts what clients send.
    row = Codec(manifest.signature, manifest.model_name).decode_row(manifest.golden[0].to_request())
    cost = measure(lambda rows: model.session.run([row] * rows))
    why, mode = ("asked for" if settings.coalescing != "auto" else "measured"), settings.coalescing
    if not model.batch_invariant:
        why, mode = "answers change with the batch by more than the certificate's tolerance", "off"
    chosen = choose_limits(cost, mode, settings.max_batch_rows or None, queue_rows, settings.deadline_ms / 1000)
    # No batch is larger than the ones in which the model was proven equal.
    limits = attrs.evolve(chosen, max_batch_rows=min(chosen.max_batch_rows, manifest.parity.max_batch_rows))
    metrics = ModelMetrics(cost, limits, why, lambda: coalescer.statistics().queued_rows, model.codec.unseen)
    facts = {
        "model": manifest.name,
        "batch_us": round(cost.batch_s * 1e6, 1),
        "row_us": round(cost.row_s * 1e6, 2),
        "max_batch_rows": limits.max_batch_rows,
        "max_queue_rows": queue_rows,
        "on_worker": limits.on_worker,
        "why": why,
    }
    logger.info("coalescing", extra={"facts": facts})
    estimate_s = _estimate(cost.batch_s, cost.row_s, limits.max_batch_rows)
    coalescer = Coalescer(model.session.run, limits, estimate_s, metrics.report)
    return Desk(manifest.name, model.codec, coalescer, metrics, _about(cost, limits, why))


def _about(cost: Cost, limits: Limits, why: str) -> str:
    together = "each row runs by itself"
    if limits.max_batch_rows > 1:
        place = "a thread of their own" if limits.on_worker else "the event loop"
        together = f"up to {limits.max_batch_rows} rows run together, on {place}"
    return f"A run takes {cost.batch_s * 1e6:.1f} us and {cost.row_s * 1e6:.2f} us a row; {together} ({why})."


def _estimate(batch_s: float, row_s: float, max_batch_rows: int) -> Callable[[int], float]:
    """Gives the seconds that a number of rows takes, in batches as large as may be."""
    return lambda rows: -(-rows // max_batch_rows) * batch_s + rows * row_s
