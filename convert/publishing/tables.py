"""What came of a conversion -> short tables for a person, on standard error; it judges nothing."""

import math
import sys
from collections.abc import Sequence

import pandas as pd

from convert.parity.proof import Certificate
from convert.publishing.candidate import Candidate
from convert.publishing.gates import Gate
from convert.publishing.precision import Climb
from convert.publishing.selection import Contender
from server.contract.signature import Answer


def tell(climbed: Climb) -> None:
    """Prints what was asked, what came of it, and the worst rows where parity fails."""
    certificate = climbed.proof.certificate
    for rung in climbed.rungs:
        print(f"{rung.precision}: {rung.fault or 'taken'}", file=sys.stderr)
    table = pd.DataFrame(
        {
            "rows": compared.kind,
            "asked": compared.rows,
            "differ": compared.mismatches,
            "refused": compared.unanswered,
            "largest difference": f"{compared.max_difference:.1e}",
        }
        for compared in certificate.compared
    )
    print(table.to_string(index=False), file=sys.stderr)
    parity = certificate.parity
    print(
        f"parity {_verdict(certificate)}: {parity.mismatches} of {parity.rows} rows differ (tolerance "
        f"{parity.tolerance:.0e}); with its neighbours a row's answer moves by {certificate.neighbours_difference:.1e}",
        file=sys.stderr,
    )
    if parity.mismatches:
        print("the worst rows:" if certificate.passed else "nothing is published; the worst rows:", file=sys.stderr)
        for worst in certificate.worst:
            print(f"  {worst.kind}: {worst.row}", file=sys.stderr)
            print(f"    estimator:      {describe_answer(worst.estimator)}", file=sys.stderr)
            print(f"    compiled model: {describe_answer(worst.session)}", file=sys.stderr)


def _verdict(certificate: Certificate) -> str:
    if not certificate.passed:
        return "FAILED"
    return "NOT proven, and accepted knowingly" if certificate.parity.mismatches else "proven"


def describe_answer(answer: Answer | None) -> str:
    """Describe an answer with so many digits that those of the two sides can be told apart."""
    if answer is None:
        return "no finite answer"
    if not answer.probabilities:
        return repr(answer.label)
    return f"{answer.label!r}, probabilities {', '.join(f'{value:.9g}' for value in answer.probabilities)}"


def tell_gates(gates: Sequence[Gate]) -> None:
    """Prints what each gate found."""
    for gate in gates:
        print(f"gate {gate.name}: {'open' if gate.passed else 'CLOSED'}: {gate.text}", file=sys.stderr)
    if not all(gate.passed for gate in gates):
        print("nothing is published; what is served stays", file=sys.stderr)


def tell_contenders(contenders: Sequence[Contender], taken: Candidate | None) -> None:
    """Prints how the runs of a comparison did, the best first, and which of them is taken."""
    table = pd.DataFrame(_contender_facts(contender, taken) for contender in contenders)
    ranked = table.sort_values("mean", ascending=False, kind="stable")
    print(ranked.to_string(index=False, na_rep="-", float_format="{:.3f}".format), file=sys.stderr)


def _contender_facts(contender: Contender, taken: Candidate | None) -> dict[str, object]:
    assert contender.run.metrics is not None  # noqa: S101  a finished run has them
    folds, candidate = contender.run.metrics["folds"], contender.candidate
    return {
        "run": contender.run.model,
        "mean": folds["mean"],
        "deviation": folds["deviation"],
        "fit s": folds["fit_s"],
        "KB": len(candidate.climbed.compiled.model) / 1000 if candidate else math.nan,
        "us/row": candidate.row_us if candidate else math.nan,
        "verdict": contender.fault or _place(contender, taken),
    }


def _place(contender: Contender, taken: Candidate | None) -> str:
    if not contender.is_close:
        return "lower"
    is_taken = contender.candidate is not None and contender.candidate is taken
    return "taken: the fastest within one standard error" if is_taken else "within one standard error"
