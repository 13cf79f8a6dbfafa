"""Latency per row of the estimator and of the compiled model, in batches of several sizes."""

import statistics
import time
from collections.abc import Callable

import attrs
import numpy as np
import pandas as pd

from convert.parity.answers import evaluate_session, to_rows
from server.contract.signature import Signature
from server.models.session import Session
from training.estimators import Estimator

SIZES = tuple(2**power for power in range(11))
MIN_ROUNDS = 5
ROUNDS_S = 0.05
"""How long each size is measured, in seconds, if its minimum of rounds takes less."""
_BATCH_ROWS = 64


@attrs.frozen
class RowLatency:
    """The latency per row in batches of one size.

    Attributes:
        rows: The batch size.
        compiled_us: The median of the compiled model, in microseconds per row.
        estimator_us: The median of the estimator, in microseconds per row.
    """

    rows: int
    compiled_us: float
    estimator_us: float

    @property
    def ratio(self) -> float:
        """How many times as long as the compiled model the estimator takes."""
        return self.estimator_us / self.compiled_us


def measure_latencies(
    estimator: Estimator, session: Session, signature: Signature, known: pd.DataFrame
) -> tuple[RowLatency, ...]:
    """Measure both sides in turn, so that other load on the host affects both alike.

    The estimator gets a ready frame and predicts only labels, or numbers. The session gets rows as the server has them;
    its time is that of a whole answer, probabilities included.

    Args:
        estimator: The fitted estimator.
        session: The compiled model.
        signature: The model's inputs and outputs.
        known: The rows of the table; those that the session cannot answer are not used.

    Raises:
        SessionError: If the session can answer none of them.
    """
    asked = known.iloc[: max(SIZES)]
    answers = evaluate_session(session, to_rows(asked), (_BATCH_ROWS,), signature.answer_width)
    answered = asked[answers.is_answered]
    return tuple(_measure(estimator, session, answered, size) for size in SIZES)


def _measure(estimator: Estimator, session: Session, known: pd.DataFrame, size: int) -> RowLatency:
    frame = known.iloc[np.arange(size) % len(known)].reset_index(drop=True)
    rows = to_rows(frame)
    end_s = time.perf_counter() + ROUNDS_S
    compiled: list[float] = []
    estimated: list[float] = []
    while len(compiled) < MIN_ROUNDS or time.perf_counter() < end_s:
        compiled.append(measure_s(lambda: session.run(rows)))
        estimated.append(measure_s(lambda: estimator.predict(frame)))
    return RowLatency(size, *(statistics.median(times) / size * 1e6 for times in (compiled, estimated)))


def measure_s(run: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    start_s = time.perf_counter()
    run()
    return time.perf_counter() - start_s
