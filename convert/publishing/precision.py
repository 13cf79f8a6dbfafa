"""Precision search: try the cheapest input type first, and take the first whose compiled model is proven equal."""

from collections.abc import Callable, Sequence

import attrs

from convert.compile.export import PRECISIONS, Compiled, Precision
from convert.errors import ConvertError
from convert.parity.proof import Proof
from server.errors import CorollaError
from server.models.session import Session


@attrs.frozen
class Attempt:
    """One precision that was tried.

    Attributes:
        precision: The type of the model's numeric inputs.
        fault: Why it was not taken; None if it was.
    """

    precision: Precision
    fault: str | None


@attrs.frozen(eq=False)
class SearchResult:
    """The outcome of a search.

    Attributes:
        compiled: The model that was taken; if none passed, the one with the fewest mismatches.
        session: Its session, made once and shared by all that run the model afterwards.
        proof: Its proof, passed or failed.
        attempts: All precisions that were tried, in order.
    """

    compiled: Compiled
    session: Session
    proof: Proof
    attempts: tuple[Attempt, ...]


def search_precision(
    compile_model: Callable[[Precision], Compiled],
    prove_model: Callable[[Compiled], tuple[Session, Proof]],
    allowed_mismatches: int,
    precisions: Sequence[Precision] = PRECISIONS,
) -> SearchResult:
    """Try one precision after another until one passes.

    Args:
        compile_model: Compiles the estimator at a precision.
        prove_model: Makes a session of the compiled model and compares it to the estimator.
        allowed_mismatches: How many mismatches are accepted if no precision has none.
        precisions: The precisions to try, the cheapest first.

    Raises:
        ConvertError: If no precision can be compiled and compared.
    """
    attempts: list[Attempt] = []
    failed: list[tuple[SearchResult, int]] = []
    for precision in precisions:
        try:
            compiled = compile_model(precision)
            session, proof = prove_model(compiled)
        except CorollaError as error:
            attempts.append(Attempt(precision, str(error)))
            continue
        if proof.certificate.passed:
            return SearchResult(compiled, session, proof, (*attempts, Attempt(precision, None)))
        attempts.append(Attempt(precision, _describe_fault(proof)))
        failed.append((SearchResult(compiled, session, proof, ()), len(attempts) - 1))
    if not failed:
        raise ConvertError("; ".join(f"{attempt.precision}: {attempt.fault}" for attempt in attempts))
    closest, index = min(failed, key=lambda one: one[0].proof.certificate.parity.mismatches)
    if allowed_mismatches and closest.proof.certificate.parity.mismatches <= allowed_mismatches:
        closest = _accept(closest, allowed_mismatches)
        attempts[index] = Attempt(attempts[index].precision, None)
    return attrs.evolve(closest, attempts=tuple(attempts))


def _accept(result: SearchResult, allowed_mismatches: int) -> SearchResult:
    """Record in the certificate how many mismatches are accepted."""
    certificate = result.proof.certificate
    accepted = attrs.evolve(certificate, parity=attrs.evolve(certificate.parity, allowed_mismatches=allowed_mismatches))
    return attrs.evolve(result, proof=attrs.evolve(result.proof, certificate=accepted))


def _describe_fault(proof: Proof) -> str:
    parity = proof.certificate.parity
    return (
        f"{parity.mismatches} of {parity.rows} rows differ, {parity.label_mismatches} of them in the label; "
        f"a number by {parity.max_difference:.1e}, and with its neighbours by "
        f"{proof.certificate.neighbours_difference:.1e}"
    )
