"""Estimator against session on the same rows -> Certificate; knows nothing of files or of how a model was compiled.

The session is of the very class that serves, so what is proven is what will answer.
"""

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from server.manifest import Parity
from server.session import Session
from server.signature import Answer, Label
from training.estimators import Estimator

TOLERANCE = 1e-5
"""The largest difference of one probability that passes. The model computes in FP32, with a relative step of 6e-8
(IEEE 754); a probability is a sum of some dozen products, so an honest one is off by about 1e-6."""
GENERATED_ROWS = 20_000
BATCH_ROWS = 64
SHOWN_ROWS = 5
_SEED = 20_000


@attrs.frozen
class Difference:
    """One row that both sides have answered.

    Attributes:
        row: The row, by feature.
        estimator: The estimator's answer.
        session: The compiled model's answer.
        probability_difference: Largest absolute difference of one of its probabilities (0 to 1).
    """

    row: dict[str, float]
    estimator: Answer
    session: Answer
    probability_difference: float


@attrs.frozen
class Certificate:
    """The record of a parity proof.

    Attributes:
        parity: Its figures.
        worst: The rows on which the two sides differ most, the worst first.
    """

    parity: Parity
    worst: tuple[Difference, ...]


def prove(estimator: Estimator, session: Session, known: pd.DataFrame, tolerance: float = TOLERANCE) -> Certificate:
    """Compares both sides on every known row, alone and in batches, and on rows generated in the range of those.

    Args:
        estimator: The fitted estimator.
        session: The compiled model.
        known: All training and held-out rows.
        tolerance: The largest difference of one probability that passes.
    """
    generated = generate_rows(known, GENERATED_ROWS)
    rows = pd.concat([known, known, generated], ignore_index=True)
    expected = ask_estimator(estimator, rows)
    alone = _ask_session(session, known, 1)
    together = _ask_session(session, rows.iloc[len(known) :], BATCH_ROWS)
    answered = [*alone, *together]
    differences = np.array([_difference(a, b) for a, b in zip(expected, answered, strict=True)])
    flipped = np.array([a.label != b.label for a, b in zip(expected, answered, strict=True)])
    parity = Parity(
        rows=len(rows),
        label_mismatches=int(flipped.sum()),
        max_probability_difference=float(differences.max()),
        tolerance=tolerance,
    )
    worst = np.lexsort((-differences, ~flipped))[:SHOWN_ROWS]
    return Certificate(
        parity=parity,
        worst=tuple(
            Difference(_by_name(rows, at), expected[at], answered[at], float(differences[at])) for at in worst.tolist()
        ),
    )


def generate_rows(known: pd.DataFrame, count: int) -> pd.DataFrame:
    """Draws rows uniformly from the box that the known rows span; the same ones each time."""
    random = np.random.default_rng(_SEED)
    values = random.uniform(known.min().to_numpy(), known.max().to_numpy(), size=(count, known.shape[1]))
    return pd.DataFrame(values, columns=known.columns)


def ask_estimator(estimator: Estimator, rows: pd.DataFrame) -> list[Answer]:
    """Gives the estimator's answers in the terms of the session's."""
    labels: Sequence[Label] = estimator.predict(rows).tolist()
    probabilities: npt.NDArray[np.float64] = estimator.predict_proba(rows)
    return [Answer(label, tuple(row)) for label, row in zip(labels, probabilities.tolist(), strict=True)]


def _ask_session(session: Session, rows: pd.DataFrame, batch_rows: int) -> list[Answer]:
    values = rows.to_numpy(dtype=np.float64)
    starts = range(0, len(values), batch_rows)
    return [answer for start in starts for answer in session.run(values[start : start + batch_rows])]


def _difference(expected: Answer, answered: Answer) -> float:
    differences = np.abs(np.subtract(expected.probabilities, answered.probabilities))
    # A probability that is NaN on one side would compare as no difference; it is the largest there is.
    return float(np.nan_to_num(differences, nan=1.0).max())


def _by_name(rows: pd.DataFrame, position: int) -> dict[str, float]:
    return {str(name): float(value) for name, value in rows.iloc[position].items()}
