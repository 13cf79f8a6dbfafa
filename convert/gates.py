"""A proven model, the version now served and the limits -> the gates it must pass before it is published.

Each gate says what it found and by how much it is closed. It publishes nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from sklearn.metrics import r2_score

from convert.answers import ask_session, to_rows
from convert.candidate import Candidate
from convert.limits import Limits
from server.catalog import Model, load_model
from server.errors import RefusedError, SessionError
from server.repository import list_versions
from training.dataset import Dataset

_NOT_COMPARABLE = "of other features or another task, or is a regressor that does not answer every held-out row"


@attrs.frozen
class Gate:
    """What a model had to keep to, and whether it did.

    Attributes:
        name: Which gate.
        passed: Whether it is open.
        found: What was found; None where there is nothing to compare.
        limit: What was asked for.
        text: The same in words.
    """

    name: str
    passed: bool
    found: float | None
    limit: float | None
    text: str


def check_gates(candidate: Candidate, models_dir: Path, name: str, limits: Limits) -> tuple[Gate, ...]:
    """Holds a candidate against every limit.

    Args:
        candidate: The model that would be published.
        models_dir: The model repository.
        name: The model's name there.
        limits: What it must keep to.
    """
    certificate, parity = candidate.climbed.proof.certificate, candidate.climbed.proof.certificate.parity
    proof = f"{parity.mismatches} of {parity.rows} rows differ, {parity.allowed_mismatches} allowed"
    if certificate.neighbours_difference > parity.tolerance:
        proof += f"; with its neighbours a row's answer moves by {certificate.neighbours_difference:.1e}"
    gates = [Gate("parity", certificate.passed, parity.mismatches, parity.allowed_mismatches, proof)]
    gates.append(_compare_to_served(candidate, find_served(models_dir, name), limits.tolerance))
    gates += _class_gates(candidate, limits.least_class_score)
    size, row_us = len(candidate.climbed.compiled.model), candidate.row_us
    if limits.largest_bytes is not None:
        gates.append(_at_most("size", size, limits.largest_bytes, "bytes"))
    if limits.largest_row_us is not None:
        gates.append(_at_most("speed", row_us, limits.largest_row_us, "us for one row"))
    return tuple(gates)


def find_served(models_dir: Path, name: str) -> Model | None:
    """Gives the version that a server would serve now: the newest that is sound."""
    for number in list_versions(models_dir).get(name, []):
        try:
            return load_model(models_dir / name / str(number), name, number, threads=1)
        except RefusedError:
            continue
    return None


def _compare_to_served(candidate: Candidate, served: Model | None, tolerance: float) -> Gate:
    if served is None:
        return Gate("served", passed=True, found=None, limit=None, text="no version is served yet")
    place = f"{served.manifest.name}/{served.manifest.version}"
    known = _score(served, candidate.left.held_out)
    if known is None:
        return Gate("served", passed=True, found=None, limit=None, text=f"{place} is {_NOT_COMPARABLE}")
    found = candidate.score
    lead = f"{candidate.metric} on the held-out rows {found:.4f}, that of {place} {known:.4f}"
    if found >= known - tolerance:
        return Gate("served", passed=True, found=found, limit=known - tolerance, text=lead)
    text = f"{lead}: lower by {known - found:.4f}, more than the tolerance of {tolerance:g}"
    return Gate("served", passed=False, found=found, limit=known - tolerance, text=text)


def _score(served: Model, held_out: Dataset) -> float | None:
    """Gives the score of a version on rows, or None where it cannot be asked about them."""
    signature = served.manifest.signature
    names = [feature.name for feature in signature.features]
    same_kinds = {feature.name: feature.type for feature in signature.features}
    columns = {column.name: column.kind for column in held_out.columns[:-1]}
    if signature.is_regressor != (held_out.task == "regression"):
        return None
    if {name: kind == "category" for name, kind in same_kinds.items()} != {
        name: kind == "category" for name, kind in columns.items()
    }:
        return None
    width = max(1, len(signature.labels))
    try:
        answers = ask_session(served.session, to_rows(held_out.features[names]), (1,), width)
    except SessionError:
        return None if signature.is_regressor else 0.0
    target = held_out.target.to_numpy()
    if not signature.is_regressor:
        # A row that it would refuse is not answered right.
        return float(np.mean(answers.is_answered & (answers.labels == target.astype(object))))
    return float(r2_score(target, answers.numbers[:, 0])) if answers.is_answered.all() else None


def _class_gates(candidate: Candidate, least: float | None) -> Iterator[Gate]:
    if least is None:
        return
    if candidate.metric == "r2":
        yield _at_least("score", candidate.score, least, "R² on the held-out rows")
        return
    assert candidate.run.metrics is not None  # noqa: S101  a finished run has them
    for known in candidate.run.metrics["test"]["classes"]:
        yield _at_least(f"class {known['label']}", known["recall"], least, "of its held-out rows are answered right")


def _at_least(name: str, found: float, limit: float, what: str) -> Gate:
    passed = found >= limit
    text = f"{found:.4f} {what}, {limit:g} at least"
    return Gate(name, passed, found, limit, text if passed else f"{text}: lower by {limit - found:.4f}")


def _at_most(name: str, found: float, limit: float, what: str) -> Gate:
    passed = found <= limit
    text = f"{found:,.0f} {what}, {limit:,.0f} at most"
    return Gate(name, passed, found, limit, text if passed else f"{text}: {found - limit:,.0f} more")
