"""Gates: the checks that a candidate must pass before it is published, each with its figures and its limit."""

import functools
from collections.abc import Iterator
from pathlib import Path

import attrs

from convert.parity.proof import Certificate
from convert.publishing.candidate import Candidate
from convert.publishing.limits import GateLimits
from convert.publishing.scoring import Score, score, to_requests
from server.contract.signature import Feature, Label, Signature
from server.models.catalog import Model, load_model, load_newest
from server.models.repository import list_versions

SHOWN_FEATURES = 5


@attrs.frozen
class Gate:
    """The outcome of one check.

    Attributes:
        name: The gate's name.
        passed: True if the candidate passed.
        found: The measured figure; None if there is nothing to compare.
        limit: The figure that was asked for.
        text: Both in words.
    """

    name: str
    passed: bool
    found: float | None
    limit: float | None
    text: str


def check_gates(
    candidate: Candidate, models_dir: Path, name: str, limits: GateLimits, *, replace: bool = False
) -> tuple[Gate, ...]:
    """Check a candidate against every limit.

    Args:
        candidate: The candidate.
        models_dir: The model repository.
        name: The model's name there.
        limits: The limits.
        replace: True to pass a candidate that is incompatible with the served version's clients.
    """
    compiled, held_out = candidate.result.compiled, candidate.artifacts.held_out
    signature, requests = compiled.signature, to_requests(held_out.features, compiled.signature.features)
    found = score(signature, candidate.result.session, requests, held_out.target)
    gates = [_check_parity(candidate.result.proof.certificate)]
    served = find_served(models_dir, name)
    if served is None:
        gates.append(_pass_without_figures("no version is served yet"))
    elif incompatibility := find_incompatibility(served.manifest.signature, signature):
        gates.append(_check_replacement(served, incompatibility, candidate.run.id, replace=replace))
    else:
        known = score(served.manifest.signature, served.session, requests, held_out.target).value
        gates.append(_compare(candidate.metric, found.value, served, known, limits.tolerance))
    gates += _check_classes(found, limits.least_class_score)
    if limits.largest_bytes is not None:
        gates.append(_at_most("size", len(compiled.model), limits.largest_bytes, "bytes"))
    if limits.largest_row_us is not None:
        gates.append(_at_most("speed", candidate.row_us, limits.largest_row_us, "us for one row"))
    return tuple(gates)


def find_served(models_dir: Path, name: str) -> Model | None:
    """Load the version that a server would serve now: the newest sound one; None if there is none."""
    numbers = list_versions(models_dir).get(name, [])
    return load_newest(models_dir, name, numbers, functools.partial(load_model, threads=1), refusals=[])


def _check_parity(certificate: Certificate) -> Gate:
    parity = certificate.parity
    text = f"{parity.mismatches} of {parity.rows} rows differ, {parity.allowed_mismatches} allowed"
    if certificate.neighbours_difference > parity.tolerance:
        text += f"; with its neighbours a row's answer moves by {certificate.neighbours_difference:.1e}"
    return Gate("parity", certificate.passed, parity.mismatches, parity.allowed_mismatches, text)


def _pass_without_figures(text: str) -> Gate:
    return Gate("served", passed=True, found=None, limit=None, text=text)


def find_incompatibility(served: Signature, signature: Signature) -> str:
    """Describe what clients of the served version would lose if the candidate took its place.

    Args:
        served: The served version's signature.
        signature: The candidate's signature.

    Returns:
        The difference in words; an empty text if there is none.
    """
    if served.is_regressor != signature.is_regressor:
        return f"answers with {'numbers' if served.is_regressor else 'labels'}"
    if served.labels and not set(map(_with_type, served.labels)) & set(map(_with_type, signature.labels)):
        return f"answers with labels such as {served.labels[0]!r}, this one with such as {signature.labels[0]!r}"
    before, now = ({feature.name: feature for feature in one.features} for one in (served, signature))
    others = [name for name in before | now if not _accepts_as_before(now.get(name), before.get(name))]
    return f"takes other values: of {', '.join(map(repr, others[:SHOWN_FEATURES]))}" if others else ""


def _with_type(label: Label) -> tuple[type, Label]:
    """Pair a label with its type, because 1 and True are equal."""
    return type(label), label


def _accepts_as_before(now: Feature | None, before: Feature | None) -> bool:
    """Return True if a feature accepts every value that it accepted before; an integer is a number too."""
    if now is None or before is None:
        return False
    is_wider = now.type == before.type or (now.type, before.type) == ("number", "integer")
    return is_wider and now.nullable >= before.nullable


def _check_replacement(served: Model, incompatibility: str, run_id: int, *, replace: bool) -> Gate:
    text = f"{_name_version(served)} {incompatibility}"
    if replace:
        return _pass_without_figures(f"{text}; replaced knowingly, and scores are not compared")
    text += f": its clients would be refused or misled; `python -m convert {run_id} --replace` publishes all the same, "
    text += "and --name NAME beside it"
    return Gate("served", passed=False, found=None, limit=None, text=text)


def _name_version(served: Model) -> str:
    return f"{served.manifest.name}/{served.manifest.version}"


def _compare(metric: str, found: float, served: Model, known: float, tolerance: float) -> Gate:
    text = f"{metric} on the held-out rows {found:.4f}, that of {_name_version(served)} {known:.4f}"
    passed = found >= known - tolerance
    if not passed:
        text += f": lower by {known - found:.4f}, more than the tolerance of {tolerance:g} (--tolerance of convert)"
    return Gate("served", passed, found, known - tolerance, text)


def _check_classes(found: Score, least: float | None) -> Iterator[Gate]:
    if least is None:
        return
    if not found.recalls:
        yield _at_least("score", found.value, least, "R² on the held-out rows")
    for label, recall in found.recalls:
        yield _at_least(f"class {label}", recall, least, "of its held-out rows are answered right")


def _at_least(name: str, found: float, limit: float, what: str) -> Gate:
    passed = found >= limit
    text = f"{found:.4f} {what}, {limit:g} at least"
    return Gate(name, passed, found, limit, text if passed else f"{text}: lower by {limit - found:.4f}")


def _at_most(name: str, found: float, limit: float, what: str) -> Gate:
    passed = found <= limit
    text = f"{found:,.0f} {what}, {limit:,.0f} at most"
    return Gate(name, passed, found, limit, text if passed else f"{text}: {found - limit:,.0f} more")
