"""Short tables for people, on standard error: a proof, the gates, the runs of a comparison."""

import math
import sys
from collections.abc import Sequence

import pandas as pd

from convert.parity.proof import Certificate
from convert.publishing.candidate import Candidate
from convert.publishing.gates import Gate
from convert.publishing.precision import SearchResult
from convert.publishing.selection import ComparedRun
from server.contract.signature import Answer


def print_proof(result: SearchResult) -> None:
    """Print the precisions that were tried, the mismatches by kind of row, and the worst rows if any differ."""
    certificate = result.proof.certificate
    for attempt in result.attempts:
        print(f"{attempt.precision}: {attempt.fault or 'taken'}", file=sys.stderr)
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
        f"parity {_describe_verdict(certificate)}: {parity.mismatches} of {parity.rows} rows differ (tolerance "
        f"{parity.tolerance:.0e}); with its neighbours a row's answer moves by {certificate.neighbours_difference:.1e}",
        file=sys.stderr,
    )
    if parity.mismatches:
        print("the worst rows:" if certificate.passed else "nothing is published; the worst rows:", file=sys.stderr)
        for worst in certificate.worst:
            print(f"  {worst.kind}: {worst.row}", file=sys.stderr)
            print(f"    estimator:      {describe_answer(worst.estimator)}", file=sys.stderr)
            print(f"    compiled model: {describe_answer(worst.session)}", file=sys.stderr)


def _describe_verdict(certificate: Certificate) -> str:
    if not certificate.passed:
        return "FAILED"
    return "NOT proven, and accepted knowingly" if certificate.parity.mismatches else "proven"


def describe_answer(answer: Answer | None) -> str:
    """Return an answer as text, with enough digits to tell the answers of the two sides apart."""
    if answer is None:
        return "no finite answer"
    if not answer.probabilities:
        return repr(answer.label)
    return f"{answer.label!r}, probabilities {', '.join(f'{value:.9g}' for value in answer.probabilities)}"


def print_gates(gates: Sequence[Gate]) -> None:
    """Print each gate with its outcome and figures."""
    for gate in gates:
        print(f"gate {gate.name}: {'passed' if gate.passed else 'FAILED'}: {gate.text}", file=sys.stderr)
    if not all(gate.passed for gate in gates):
        print("nothing is published; what is served stays", file=sys.stderr)


def print_comparison(compared: Sequence[ComparedRun], taken: Candidate | None) -> None:
    """Print the scores, sizes and times of the runs of a comparison, the best first, and which of them is taken."""
    table = pd.DataFrame(_make_line(run, taken) for run in compared)
    ranked = table.sort_values("mean", ascending=False, kind="stable")
    print(ranked.to_string(index=False, na_rep="-", float_format="{:.3f}".format), file=sys.stderr)


def _make_line(compared: ComparedRun, taken: Candidate | None) -> dict[str, object]:
    assert compared.run.metrics is not None  # noqa: S101  a finished run has them
    folds, candidate = compared.run.metrics["folds"], compared.candidate
    return {
        "run": compared.run.model,
        "mean": folds["mean"],
        "deviation": folds["deviation"],
        "fit s": folds["fit_s"],
        "KB": len(candidate.result.compiled.model) / 1000 if candidate else math.nan,
        "us/row": candidate.row_us if candidate else math.nan,
        "verdict": compared.fault or _describe_rank(compared, taken),
    }


def _describe_rank(compared: ComparedRun, taken: Candidate | None) -> str:
    if not compared.is_close:
        return "lower"
    is_taken = compared.candidate is not None and compared.candidate is taken
    return "taken: the fastest within one standard error" if is_taken else "within one standard error"
