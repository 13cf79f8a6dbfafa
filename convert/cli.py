"""The command `python -m convert`: a run's id, or several -> a published version, or a refusal with its reason.

What a program wants (the version's folder) goes to standard output, what a person wants to standard error.
"""

import argparse
import math
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
from tqdm import tqdm

from convert.errors import ConvertError
from convert.places import add_models_dir
from convert.publishing.candidate import Candidate, make_candidate
from convert.publishing.gates import check_gates
from convert.publishing.limits import NAMES, SECTION, read_limits
from convert.publishing.publish import Publication, check_name, newest_number, publish
from convert.publishing.selection import compare_runs, select_fastest
from convert.publishing.tables import print_comparison, print_gates, print_proof
from convert.report.report import make_report
from server.contract.manifest import RunFacts
from server.errors import CorollaError
from training.places import add_data_dir
from training.runlog import SCORES, Run, RunLog

REFUSED, NOT_PROVEN, GATE_CLOSED = 1, 3, 4


def main(arguments: Sequence[str]) -> int:
    """Converts a run.

    Returns:
        The exit code: 0, 1 where the run cannot be converted, 3 where parity fails, 4 where a gate is closed; argparse
        exits with 2 for wrong arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        return _convert(options)
    except (CorollaError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED


def _convert(options: argparse.Namespace) -> int:
    log = RunLog(options.data_dir)
    runs = [log.find_finished(run_id) for run_id in options.run_ids]
    name = check_name(options.name or runs[0].dataset)
    limits = read_limits(Path("pyproject.toml"), {limit: getattr(options, limit) for limit in NAMES})
    candidate = _take(options, runs)
    print_proof(candidate.result)
    newest = newest_number(options.models_dir, name)
    gates = check_gates(candidate, options.models_dir, name, limits, replace=options.replace)
    log.note_gates(candidate.run.id, [attrs.asdict(gate) for gate in gates])
    print_gates(gates)
    if not candidate.passed:
        return NOT_PROVEN
    if not all(gate.passed for gate in gates):
        return GATE_CLOSED
    report = make_report(candidate.run, candidate.artifacts, candidate.result, log.list())
    print(publish(options.models_dir, _publication(candidate, name, report), after=newest))
    return 0


def _take(options: argparse.Namespace, runs: Sequence[Run]) -> Candidate:
    if len(runs) == 1:
        with tqdm(runs, desc=f"proving {runs[0].model}", unit="run", leave=False, disable=None):
            return make_candidate(options.data_dir, runs[0], options.allow_mismatch)
    contenders = compare_runs(options.data_dir, runs, options.allow_mismatch)
    fastest = select_fastest(contenders)
    print_comparison(contenders, fastest)
    if fastest is None:
        raise ConvertError("of the runs within one standard error of the best, none is proven equal to its estimator")
    return fastest


def _publication(candidate: Candidate, name: str, report: bytes) -> Publication:
    result = candidate.result
    return Publication(
        name=name,
        model_name=candidate.run.model,
        compiled=result.compiled,
        certificate=result.proof.certificate,
        attempts=result.attempts,
        golden=result.proof.golden,
        run=_facts(candidate.run),
        report=report,
    )


def _facts(run: Run) -> RunFacts:
    train, test = run.score("train"), run.score("test")
    assert train is not None  # noqa: S101  a finished run has both
    assert test is not None  # noqa: S101
    return RunFacts(
        id=run.id,
        dataset=run.dataset,
        dataset_sha256=run.dataset_sha256,
        target=run.target,
        estimator=run.estimator,
        parameters=run.parameters,
        seed=run.seed,
        started_at=run.started_at,
        metric=SCORES[run.task],
        train_score=train,
        test_score=test,
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert",
        description="Compile a run to ONNX, prove that it answers as the estimator does, and publish it as a version.",
    )
    parser.add_argument(
        "run_ids",
        metavar="RUN_ID",
        type=int,
        nargs="+",
        help="the run's id, as `python -m training runs` lists it; of several, which --estimator auto has made, the "
        "fastest compiled one is taken whose score is within one standard error of the best",
    )
    parser.add_argument(
        "--allow-mismatch",
        metavar="N",
        type=_count,
        default=0,
        help="publish though as many as N of the certificate's rows are answered otherwise (default: 0); the manifest, "
        "the server's log and the model's page say so",
    )
    for limit, words in _LIMITS.items():
        parser.add_argument(
            f"--{limit.replace('_', '-')}", metavar="X", type=_limit, help=f"{words}; or {limit} in {SECTION}"
        )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="publish though the version now served takes other features, or answers with other kinds of labels; their "
        "scores are not compared then",
    )
    parser.add_argument("--name", help="the model's name in the repository and in routes (default: the dataset's)")
    add_data_dir(parser)
    add_models_dir(parser)
    return parser


_LIMITS = {
    "tolerance": "by how much the score on the held-out rows may be lower than the served version's (default: 0.01)",
    "least_class_score": "refuse where fewer of a class's held-out rows are answered right (0 to 1); or a lower R²",
    "largest_bytes": "refuse a larger compiled model",
    "largest_row_us": "refuse where one row takes longer than so many microseconds",
}


def _limit(text: str) -> float:
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text}")
    return limit


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text}")
    return int(text)
