"""Estimator and session -> what a row costs each of them in batches of several sizes, measured in turns."""

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
"""How long a size is measured, in seconds, once it has had its least rounds."""
_BATCH_ROWS = 64


@attrs.frozen
class Pace:
    """What a row costs in batches of one size.

    Attributes:
        rows: The size.
        compiled_us: The compiled model's median, in microseconds a row.
        estimator_us: The estimator's.
    """

    rows: int
    compiled_us: float
    estimator_us: float

    @property
    def ratio(self) -> float:
        """How many times as long the estimator takes."""
        return self.estimator_us / self.compiled_us


def measure_paces(
    estimator: Estimator, session: Session, signature: Signature, known: pd.DataFrame
) -> tuple[Pace, ...]:
    """Measures both sides by turns, so that what else the host does meets both.

    The estimator is given a frame that is ready and asked for its labels, or numbers, alone; the session is given rows
    as the server has them, and its time is that of all it does for an answer with its probabilities.

    Args:
        estimator: The fitted estimator.
        session: The compiled model.
        signature: What it takes and gives.
        known: Rows to ask; those that the session cannot answer are left out.

    Raises:
        SessionError: If it can answer none of them.
    """
    asked = known.iloc[: max(SIZES)]
    answers = evaluate_session(session, to_rows(asked), (_BATCH_ROWS,), signature.answer_width)
    answered = asked[answers.is_answered]
    return tuple(_measure(estimator, session, answered, size) for size in SIZES)


def _measure(estimator: Estimator, session: Session, known: pd.DataFrame, size: int) -> Pace:
    frame = known.iloc[np.arange(size) % len(known)].reset_index(drop=True)
    rows = to_rows(frame)
    end_s = time.perf_counter() + ROUNDS_S
    compiled: list[float] = []
    estimated: list[float] = []
    while len(compiled) < MIN_ROUNDS or time.perf_counter() < end_s:
        compiled.append(_seconds(lambda: session.run(rows)))
        estimated.append(_seconds(lambda: estimator.predict(frame)))
    return Pace(size, *(statistics.median(times) / size * 1e6 for times in (compiled, estimated)))


def _seconds(run: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    run()
    return time.perf_counter() - start_s
