"""Estimator against session on the same rows -> Certificate; knows nothing of files.

The session is of the very class that serves, so what is proven is what will answer.
"""

import hashlib
from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.compile.export import Compiled
from convert.parity.answers import Answers, ask_estimator, ask_session, check_estimator, to_rows
from convert.parity.comparison import Asked, Comparison, compare
from convert.parity.golden import choose_golden_rows, to_fields
from convert.parity.probes import Questions
from server.contract.manifest import GoldenRow, Parity
from server.contract.signature import Answer, Row, Signature
from server.models.session import Session
from training.estimators import Estimator

TOLERANCE = 1e-5
"""The largest difference of one number that passes. In FP32 the relative step is 6e-8 (IEEE 754); a probability is a
sum of some dozen products, so an honest one is off by about 1e-6."""
BATCH_ROWS = (1, 2, 3, 7, 8, 31, 32, 64, 256, 1024)
"""The sizes in which rows are asked, in turn; the server coalesces no more than the largest."""
NEIGHBOURED_ROWS = 1024
"""How many rows are asked alone and then with other neighbours."""
DOUBTFUL_ROWS = 100
"""How many extreme rows that differ the estimator is asked about again, one by one."""
SHOWN_ROWS = 5
_SEED = 1


@attrs.frozen
class Difference:
    """One row that both sides have answered.

    Attributes:
        kind: What sort of row it is.
        row: The row, by feature.
        estimator: The estimator's answer, or None where it has no finite one.
        session: The compiled model's, likewise.
        difference: The largest difference of one of their numbers.
    """

    kind: str
    row: dict[str, float | int | bool | str | None]
    estimator: Answer | None
    session: Answer | None
    difference: float


@attrs.frozen
class Compared:
    """How the rows of one kind came out.

    Attributes:
        kind: What sort of rows they are.
        rows: How many there were.
        mismatches: On how many of them both sides differ.
        unanswered: How many the compiled model refuses while the estimator does not; of extreme rows only, since any
            other would be a mismatch.
        max_difference: The largest difference of one number.
    """

    kind: str
    rows: int
    mismatches: int
    unanswered: int
    max_difference: float


@attrs.frozen
class Certificate:
    """The record of a parity proof.

    Attributes:
        model_sha256: SHA-256 (hex) of the ONNX bytes that were compared.
        parity: Its figures over all rows.
        compared: The same by kind of row.
        neighbours_difference: The largest change of one number of a row's answer with the size of its batch and its
            place there; 1 where a label changed, or one of them is no answer.
        label_is_argmax: Whether every label is the one of the largest probability.
        worst: The rows on which the two sides differ most, the worst first.
    """

    model_sha256: str
    parity: Parity
    compared: tuple[Compared, ...]
    neighbours_difference: float
    label_is_argmax: bool
    worst: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether parity did, and no answer moves with its neighbours by more than the tolerance, unless accepted."""
        is_steady = self.neighbours_difference <= self.parity.tolerance or self.parity.allowed_mismatches > 0
        return self.parity.passed and is_steady


@attrs.frozen(eq=False)
class Proof:
    """What comes of a comparison.

    Attributes:
        certificate: Its record.
        golden: Rows for a host to replay.
    """

    certificate: Certificate
    golden: tuple[GoldenRow, ...]


def prove(
    estimator: Estimator,
    compiled: Compiled,
    questions: Sequence[Questions],
    tolerance: float = TOLERANCE,
    make_session: Callable[[bytes, Signature], Session] = Session,
) -> Proof:
    """Compares both sides on every row: the first kind of them alone and in batches, the others in batches.

    Args:
        estimator: The fitted estimator.
        compiled: What was compiled of it.
        questions: The rows; the first are the known ones.
        tolerance: The largest difference of one number that passes.
        make_session: What makes the session; the server's own class, but for tests.

    Raises:
        RefusedError: If the server's session does not take the model.
        SessionError: If the compiled model cannot answer.
        ConvertError: If the estimator cannot, or has another number of probabilities.
    """
    session, signature = make_session(compiled.model, compiled.signature), compiled.signature
    asked = _lay_out(questions)
    check_estimator(estimator, asked.rows.iloc[:1], signature)
    rows, alone, width = to_rows(asked.rows), len(questions[0].rows), signature.answer_width
    first, rest = ask_session(session, rows[:alone], (1,), width), ask_session(session, rows[alone:], BATCH_ROWS, width)
    answered = Answers(np.concatenate([first.labels, rest.labels]), np.concatenate([first.numbers, rest.numbers]))
    expected = ask_estimator(estimator, asked.rows, signature)
    compared = compare(asked, expected, answered, signature, tolerance)
    doubtful = np.flatnonzero(compared.is_mismatch & asked.is_extreme)[:DOUBTFUL_ROWS]
    if len(doubtful):
        compared = compare(asked, _ask_alone(estimator, compared, doubtful), answered, signature, tolerance)
    return Proof(
        certificate=_certify(compiled, compared, _move_among_neighbours(session, rows, compared), tolerance),
        golden=choose_golden_rows(compared),
    )


def _ask_alone(estimator: Estimator, compared: Comparison, places: npt.NDArray[np.intp]) -> Answers:
    """Gives the estimator's answers, some of them anew, each row by itself.

    Where scores are huge, what an estimator says of a row may depend on the rows that it is asked with; a request is
    one row. Gaussian naive Bayes on digits says 1 or 0 of one class and one extreme row.
    """
    labels, numbers = compared.expected.labels.copy(), compared.expected.numbers.copy()
    for place in places:
        alone = ask_estimator(estimator, compared.asked.rows.iloc[[place]], compared.signature)
        labels[place], numbers[place] = alone.labels[0], alone.numbers[0]
    return Answers(labels, numbers)


def _lay_out(questions: Sequence[Questions]) -> Asked:
    """Puts all rows into one table, the first kind of them twice."""
    kinds = (attrs.evolve(questions[0], kind=f"{questions[0].kind}, alone"), *questions)
    lengths = [len(one.rows) for one in kinds]
    return Asked(
        kinds=np.repeat([one.kind for one in kinds], lengths),
        is_known=np.arange(sum(lengths)) < lengths[0] + lengths[1],
        is_extreme=np.repeat([one.extreme for one in kinds], lengths),
        rows=pd.concat([one.rows for one in kinds], ignore_index=True),
    )


def _move_among_neighbours(session: Session, rows: list[Row], compared: Comparison) -> float:
    """Asks rows alone and then in batches of every size, in another order each; gives the largest change."""
    random = np.random.default_rng(_SEED)
    candidates = np.flatnonzero(compared.is_replayable)
    if not len(candidates):
        return 0.0
    chosen = random.choice(candidates, min(NEIGHBOURED_ROWS, len(candidates)), replace=False)
    width = compared.expected.numbers.shape[1]
    alone = ask_session(session, [rows[place] for place in chosen], (1,), width)
    largest = 0.0
    for size in BATCH_ROWS[1:]:
        order = random.permutation(len(chosen))
        together = ask_session(session, [rows[place] for place in chosen[order]], (size,), width)
        moved = (np.abs(together.numbers - alone.numbers[order]).max(axis=1) / compared.sizes[chosen[order]]).max()
        if (together.labels != alone.labels[order]).any() or np.isnan(moved):
            return 1.0
        largest = max(largest, float(moved))
    return largest


def _certify(compiled: Compiled, compared: Comparison, neighbours: float, tolerance: float) -> Certificate:
    asked, differences = compared.asked, compared.differences
    kinds = list(dict.fromkeys(asked.kinds.tolist()))
    labels = np.array(compared.signature.labels or [None], dtype=object)
    given = compared.answered.is_answered
    argmax = labels[np.argmax(compared.answered.numbers[given], axis=1)]
    worst = np.lexsort((-differences, ~compared.is_mismatch))[:SHOWN_ROWS]
    return Certificate(
        model_sha256=hashlib.sha256(compiled.model).hexdigest(),
        parity=Parity(
            rows=len(differences),
            max_batch_rows=max(BATCH_ROWS),
            label_mismatches=int(compared.is_flipped.sum()),
            mismatches=int(compared.is_mismatch.sum()),
            max_difference=float(differences.max()),
            tolerance=tolerance,
        ),
        compared=tuple(_count(kind, asked.kinds == kind, compared) for kind in kinds),
        neighbours_difference=neighbours,
        label_is_argmax=bool((argmax == compared.answered.labels[given]).all()),
        worst=tuple(_tell(compared, place) for place in worst.tolist()),
    )


def _count(kind: str, is_kind: npt.NDArray[np.bool_], compared: Comparison) -> Compared:
    return Compared(
        kind=kind,
        rows=int(is_kind.sum()),
        mismatches=int(compared.is_mismatch[is_kind].sum()),
        unanswered=int(compared.is_unanswered[is_kind].sum()),
        max_difference=float(compared.differences[is_kind].max()),
    )


def _tell(compared: Comparison, place: int) -> Difference:
    return Difference(
        kind=str(compared.asked.kinds[place]),
        row=to_fields(compared.asked.rows.iloc[place].tolist(), compared.signature.features),
        estimator=compared.expected.at(place),
        session=compared.answered.at(place),
        difference=float(compared.differences[place]),
    )
