"""Proves parity: estimator and compiled model answer the same rows alike. The record of the proof is a `Certificate`.

The session is of the class that serves, so the proof holds for the answers of the server.
"""

import hashlib
from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.compile.export import Compiled
from convert.parity.answers import Answers, check_estimator, evaluate_estimator, evaluate_session, to_rows
from convert.parity.comparison import Comparison, ProbeTable, compare
from convert.parity.golden import choose_golden_rows
from convert.parity.probes import Probes
from convert.parity.requests import to_fields
from server.contract.manifest import GoldenRow, Parity
from server.contract.signature import Answer, Row, Signature
from server.models.session import Session
from training.estimators import Estimator

TOLERANCE = 1e-5
"""The largest difference of one number that passes. In FP32 the relative step is 6e-8 (IEEE 754); a probability is a
sum of some dozen products, so that of an honest model is off by about 1e-6."""
BATCH_ROWS = (1, 2, 3, 7, 8, 31, 32, 64, 256, 1024)
"""The sizes of the batches of a proof, in turn; the server coalesces no more rows than the largest."""
BATCH_INVARIANCE_ROWS = 1024
"""Number of rows whose answers are checked for batch invariance."""
RECHECKED_ROWS = 100
"""Maximum number of extreme mismatches on which the estimator is evaluated again, one row at a time."""
SHOWN_ROWS = 5
_SEED = 1


@attrs.frozen
class Difference:
    """The answers of both sides to one row.

    Attributes:
        kind: The kind of probe.
        row: The row, by feature.
        estimator: The estimator's answer, or None if it has no finite one.
        session: The compiled model's answer, likewise.
        difference: The largest difference of one of their numbers.
    """

    kind: str
    row: dict[str, float | int | bool | str | None]
    estimator: Answer | None
    session: Answer | None
    difference: float


@attrs.frozen
class Compared:
    """The outcome of all probes of one kind.

    Attributes:
        kind: The kind of probe.
        rows: The number of rows.
        mismatches: How many of them both sides answer differently.
        unanswered: How many extreme rows the compiled model refuses while the estimator does not. Any other row that it
            refuses is a mismatch.
        max_difference: The largest difference of one number.
    """

    kind: str
    rows: int
    mismatches: int
    unanswered: int
    max_difference: float


@attrs.frozen
class Certificate:
    """The record of a parity proof; its attributes are the keys of certificate.json.

    Attributes:
        model_sha256: SHA-256 (hex) of the ONNX bytes that were compared.
        parity: The figures of all rows.
        compared: The figures of each kind of probe.
        neighbours_difference: Batch invariance: the largest change of one number of a row's answer with the size of its
            batch and its position in it. 1 if a label changes, or a row has no answer in some batch.
        label_is_argmax: True if every label is the class of the largest probability.
        worst: The rows with the largest differences, the largest first.
    """

    model_sha256: str
    parity: Parity
    compared: tuple[Compared, ...]
    neighbours_difference: float
    label_is_argmax: bool
    worst: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """True if parity passed, and the answers are batch invariant within the tolerance or mismatches are allowed."""
        is_batch_invariant = self.neighbours_difference <= self.parity.tolerance
        return self.parity.passed and (is_batch_invariant or self.parity.allowed_mismatches > 0)


@attrs.frozen(eq=False)
class Proof:
    """The result of a comparison.

    Attributes:
        certificate: Its record.
        golden: The golden rows, for hosts to replay.
    """

    certificate: Certificate
    golden: tuple[GoldenRow, ...]


def prove(
    estimator: Estimator,
    compiled: Compiled,
    probes: Sequence[Probes],
    tolerance: float = TOLERANCE,
    make_session: Callable[[bytes, Signature], Session] = Session,
) -> Proof:
    """Compares both sides on every probe: known rows one at a time and in batches, all others in batches.

    Args:
        estimator: The fitted estimator.
        compiled: The model compiled from it.
        probes: The rows, the known ones first.
        tolerance: The largest difference of one number that passes.
        make_session: Makes the session; only tests pass another than the server's own class.

    Raises:
        RefusedError: If the server's session refuses the model.
        SessionError: If the compiled model can answer no row.
        ConvertError: If the estimator cannot answer, or the number of probabilities is not the number of labels.
    """
    session, signature = make_session(compiled.model, compiled.signature), compiled.signature
    table = _concatenate(probes)
    check_estimator(estimator, table.rows.iloc[:1], signature)
    rows, alone, width = to_rows(table.rows), len(probes[0].rows), signature.answer_width
    first = evaluate_session(session, rows[:alone], (1,), width)
    rest = evaluate_session(session, rows[alone:], BATCH_ROWS, width)
    answered = Answers(np.concatenate([first.labels, rest.labels]), np.concatenate([first.numbers, rest.numbers]))
    expected = evaluate_estimator(estimator, table.rows, signature)
    compared = compare(table, expected, answered, signature, tolerance)
    rechecked = np.flatnonzero(compared.is_mismatch & table.is_extreme)[:RECHECKED_ROWS]
    if len(rechecked):
        compared = compare(table, _evaluate_alone(estimator, compared, rechecked), answered, signature, tolerance)
    return Proof(
        certificate=_certify(compiled, compared, _measure_batch_invariance(session, rows, compared), tolerance),
        golden=choose_golden_rows(compared),
    )


def _evaluate_alone(estimator: Estimator, compared: Comparison, positions: npt.NDArray[np.intp]) -> Answers:
    """Returns the estimator's answers, those at some positions evaluated again, one row at a time.

    Where scores are huge, an estimator's answer to a row may depend on the other rows of its batch, and a request is
    one row. Gaussian naive Bayes on digits answers one extreme row with 1 or with 0 for the same class.
    """
    labels, numbers = compared.expected.labels.copy(), compared.expected.numbers.copy()
    for position in positions:
        alone = evaluate_estimator(estimator, compared.probes.rows.iloc[[position]], compared.signature)
        labels[position], numbers[position] = alone.labels[0], alone.numbers[0]
    return Answers(labels, numbers)


def _concatenate(probes: Sequence[Probes]) -> ProbeTable:
    """Joins all probes in one table; those of the first kind are in it twice, for a pass one row at a time."""
    kinds = (attrs.evolve(probes[0], kind=f"{probes[0].kind}, alone"), *probes)
    lengths = [len(one.rows) for one in kinds]
    return ProbeTable(
        kinds=np.repeat([one.kind for one in kinds], lengths),
        is_known=np.arange(sum(lengths)) < lengths[0] + lengths[1],
        is_extreme=np.repeat([one.extreme for one in kinds], lengths),
        rows=pd.concat([one.rows for one in kinds], ignore_index=True),
    )


def _measure_batch_invariance(session: Session, rows: list[Row], compared: Comparison) -> float:
    """Evaluates rows alone and in batches of every size, in a new order each time; returns the largest change."""
    random = np.random.default_rng(_SEED)
    candidates = np.flatnonzero(compared.is_replayable)
    if not len(candidates):
        return 0.0
    chosen = random.choice(candidates, min(BATCH_INVARIANCE_ROWS, len(candidates)), replace=False)
    width = compared.expected.numbers.shape[1]
    alone = evaluate_session(session, [rows[position] for position in chosen], (1,), width)
    largest = 0.0
    for size in BATCH_ROWS[1:]:
        order = random.permutation(len(chosen))
        batched = evaluate_session(session, [rows[position] for position in chosen[order]], (size,), width)
        change = (np.abs(batched.numbers - alone.numbers[order]).max(axis=1) / compared.scales[chosen[order]]).max()
        if (batched.labels != alone.labels[order]).any() or np.isnan(change):
            return 1.0
        largest = max(largest, float(change))
    return largest


def _certify(compiled: Compiled, compared: Comparison, batch_change: float, tolerance: float) -> Certificate:
    probes, differences = compared.probes, compared.differences
    kinds = list(dict.fromkeys(probes.kinds.tolist()))
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
        compared=tuple(_summarise(kind, probes.kinds == kind, compared) for kind in kinds),
        neighbours_difference=batch_change,
        label_is_argmax=bool((argmax == compared.answered.labels[given]).all()),
        worst=tuple(_describe(compared, position) for position in worst.tolist()),
    )


def _summarise(kind: str, is_kind: npt.NDArray[np.bool_], compared: Comparison) -> Compared:
    return Compared(
        kind=kind,
        rows=int(is_kind.sum()),
        mismatches=int(compared.is_mismatch[is_kind].sum()),
        unanswered=int(compared.is_unanswered[is_kind].sum()),
        max_difference=float(compared.differences[is_kind].max()),
    )


def _describe(compared: Comparison, position: int) -> Difference:
    return Difference(
        kind=str(compared.probes.kinds[position]),
        row=to_fields(compared.probes.rows.iloc[position].tolist(), compared.signature.features),
        estimator=compared.expected.at(position),
        session=compared.answered.at(position),
        difference=float(compared.differences[position]),
    )
