"""Estimator against session on the same rows -> Certificate; knows nothing of files.

The session is of the very class that serves, so what is proven is what will answer.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.errors import ConvertError
from convert.export import Compiled
from server.manifest import Parity
from server.session import Session
from server.signature import Answer, Label, Signature
from training.estimators import Estimator

TOLERANCE = 1e-5
"""The largest difference of one probability that passes. The model computes in FP32, with a relative step of 6e-8
(IEEE 754); a probability is a sum of some dozen products, so an honest one is off by about 1e-6."""
GENERATED_ROWS = 20_000
BATCH_ROWS = (1, 2, 3, 7, 8, 31, 32, 64, 256, 1024)
"""The sizes in which rows are asked, in turn; the server coalesces no more than the largest."""
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
        model_sha256: SHA-256 (hex) of the ONNX bytes that were compared.
        parity: Its figures.
        worst: The rows on which the two sides differ most, the worst first.
    """

    model_sha256: str
    parity: Parity
    worst: tuple[Difference, ...]


def prove(
    estimator: Estimator,
    compiled: Compiled,
    known: pd.DataFrame,
    tolerance: float = TOLERANCE,
    make_session: Callable[[bytes, Signature], Session] = Session,
) -> Certificate:
    """Compares both sides on every known row, alone and in batches, and on rows generated in the range of those.

    Args:
        estimator: The fitted estimator.
        compiled: What was compiled of it.
        known: All training and held-out rows.
        tolerance: The largest difference of one probability that passes.
        make_session: What makes the session; the server's own class, but for tests.

    Raises:
        RefusedError: If the server's session does not take the model.
        SessionError: If the compiled model cannot answer.
        ConvertError: If the estimator cannot, or has another number of probabilities.
    """
    session = make_session(compiled.model, compiled.signature)
    rows = pd.concat([known, known, generate_rows(known, GENERATED_ROWS)], ignore_index=True)
    expected = ask_estimator(estimator, rows)
    answered = [*_ask_session(session, known, (1,)), *_ask_session(session, rows.iloc[len(known) :], BATCH_ROWS)]
    return compare(hashlib.sha256(compiled.model).hexdigest(), rows, expected, answered, tolerance)


def compare(
    model_sha256: str, rows: pd.DataFrame, expected: list[Answer], answered: list[Answer], tolerance: float
) -> Certificate:
    """Holds the answers of both sides against each other, row by row.

    Raises:
        ConvertError: If the sides have different numbers of probabilities.
    """
    differences = np.array([_difference(a, b) for a, b in zip(expected, answered, strict=True)])
    flipped = np.array([a.label != b.label for a, b in zip(expected, answered, strict=True)])
    parity = Parity(
        rows=len(rows),
        max_batch_rows=max(BATCH_ROWS),
        label_mismatches=int(flipped.sum()),
        max_probability_difference=float(differences.max()),
        tolerance=tolerance,
    )
    worst = np.lexsort((-differences, ~flipped))[:SHOWN_ROWS]
    return Certificate(
        model_sha256=model_sha256,
        parity=parity,
        worst=tuple(
            Difference(_by_name(rows, at), expected[at], answered[at], float(differences[at])) for at in worst.tolist()
        ),
    )


def generate_rows(known: pd.DataFrame, count: int) -> pd.DataFrame:
    """Draws rows, the same ones each time.

    Half of them come uniformly from the box that the known rows span; the others have each feature's value from a known
    row of its own, and so lie where the values are dense.
    """
    random = np.random.default_rng(_SEED)
    uniform = random.uniform(known.min().to_numpy(), known.max().to_numpy(), size=(count // 2, known.shape[1]))
    mixed = np.column_stack([random.choice(known[name].to_numpy(), count - count // 2) for name in known.columns])
    return pd.DataFrame(np.vstack([uniform, mixed]), columns=known.columns)


def ask_estimator(estimator: Estimator, rows: pd.DataFrame) -> list[Answer]:
    """Gives the estimator's answers in the terms of the session's.

    Raises:
        ConvertError: If it cannot answer.
    """
    try:
        labels: Sequence[Label] = estimator.predict(rows).tolist()
        probabilities: npt.NDArray[np.float64] = estimator.predict_proba(rows)
    except Exception as error:
        raise ConvertError(f"the estimator cannot answer its own rows: {type(error).__name__}: {error}") from error
    return [Answer(label, tuple(row)) for label, row in zip(labels, probabilities.tolist(), strict=True)]


def _ask_session(session: Session, rows: pd.DataFrame, batch_rows: Sequence[int]) -> list[Answer]:
    values = rows.to_numpy(dtype=np.float64)
    sizes = itertools.cycle(batch_rows)
    answers: list[Answer] = []
    while len(answers) < len(values):
        answers += session.run(values[len(answers) : len(answers) + next(sizes)])
    return answers


def _difference(expected: Answer, answered: Answer) -> float:
    if len(expected.probabilities) != len(answered.probabilities):
        raise ConvertError(
            f"expected {len(expected.probabilities)} probabilities a row, got {len(answered.probabilities)}"
        )
    differences = np.abs(np.subtract(expected.probabilities, answered.probabilities))
    # A probability that is NaN on one side would compare as no difference; it is the largest there is.
    return float(np.nan_to_num(differences, nan=1.0).max())


def _by_name(rows: pd.DataFrame, position: int) -> dict[str, float]:
    return {str(name): float(value) for name, value in rows.iloc[position].items()}
