"""Precisions, the cheapest first -> the first compiled model that is proven, and why those before it were not."""

from collections.abc import Callable, Sequence

import attrs

from convert.compile.export import PRECISIONS, Compiled, Precision
from convert.errors import ConvertError
from convert.parity.proof import Proof
from server.errors import CorollaError


@attrs.frozen
class Rung:
    """One precision that was tried.

    Attributes:
        precision: As what the model took its numbers.
        fault: Why it was not taken; None where it was.
    """

    precision: Precision
    fault: str | None


@attrs.frozen(eq=False)
class Climb:
    """What came of trying.

    Attributes:
        compiled: The model that was taken; where none passed, the one that came closest.
        proof: Its proof, which passed or did not.
        rungs: All that was tried, in order.
    """

    compiled: Compiled
    proof: Proof
    rungs: tuple[Rung, ...]


def climb(
    compile_model: Callable[[Precision], Compiled],
    prove_model: Callable[[Compiled], Proof],
    allowed_mismatches: int,
    precisions: Sequence[Precision] = PRECISIONS,
) -> Climb:
    """Tries one precision after another until one passes.

    Args:
        compile_model: Compiles with a precision.
        prove_model: Compares what was compiled to the estimator.
        allowed_mismatches: How many mismatches are accepted, where no precision has none.
        precisions: What to try.

    Raises:
        ConvertError: If nothing could be compiled or compared at all.
    """
    rungs: list[Rung] = []
    tried: list[tuple[Compiled, Proof, int]] = []
    for precision in precisions:
        try:
            compiled = compile_model(precision)
            proof = prove_model(compiled)
        except CorollaError as error:
            rungs.append(Rung(precision, str(error)))
            continue
        if proof.certificate.passed:
            return Climb(compiled, proof, (*rungs, Rung(precision, None)))
        rungs.append(Rung(precision, _fault(proof)))
        tried.append((compiled, proof, len(rungs) - 1))
    if not tried:
        raise ConvertError("; ".join(f"{rung.precision}: {rung.fault}" for rung in rungs))
    compiled, proof, place = min(tried, key=lambda one: one[1].certificate.parity.mismatches)
    parity = proof.certificate.parity
    if allowed_mismatches and parity.mismatches <= allowed_mismatches:
        accepted = attrs.evolve(parity, allowed_mismatches=allowed_mismatches)
        proof = attrs.evolve(proof, certificate=attrs.evolve(proof.certificate, parity=accepted))
        rungs[place] = Rung(rungs[place].precision, None)
    return Climb(compiled, proof, tuple(rungs))


def _fault(proof: Proof) -> str:
    parity = proof.certificate.parity
    return (
        f"{parity.mismatches} of {parity.rows} rows differ, {parity.label_mismatches} of them in the label; "
        f"a number by {parity.max_difference:.1e}, and with its neighbours by "
        f"{proof.certificate.neighbours_difference:.1e}"
    )
