"""The command `python -m convert`: a run's id -> a published version, or a refusal with the worst rows.

What a program wants (the version's folder) goes to standard output, what a person wants to standard error.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.errors import ConvertError
from convert.export import export
from convert.golden import choose_golden_rows
from convert.parity import Certificate, prove
from convert.publish import Publication, check_name, publish
from server.errors import CorollaError
from server.manifest import RunFacts
from server.signature import Answer
from training.artifacts import load_artifacts
from training.errors import TrainingError
from training.runlog import Run, RunLog

REFUSED, NOT_PROVEN = 1, 3


def main(arguments: Sequence[str]) -> int:
    """Converts a run.

    Returns:
        The exit code: 0, 1 where the run cannot be converted, 3 where parity fails; argparse exits with 2 for wrong
        arguments.
    """
    options = _make_parser().parse_args(arguments)
    try:
        return _convert(options)
    except (ConvertError, TrainingError, CorollaError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED


def _convert(options: argparse.Namespace) -> int:
    log = RunLog(options.data_dir)
    run = log.find(options.run_id)
    if run.status != "finished":
        raise ConvertError(f"run {run.id} is {run.status}: expected a finished one")
    name = check_name(options.name or run.dataset)
    left = load_artifacts(log.folder(run.id), run)
    compiled = export(left.estimator, left.dataset.features)
    certificate = prove(left.estimator, compiled, left.dataset.features)
    _tell(certificate)
    if not certificate.parity.passed:
        return NOT_PROVEN
    folder = publish(
        options.models_dir,
        Publication(
            name=name,
            model_name=run.model,
            compiled=compiled,
            certificate=certificate,
            golden=choose_golden_rows(left.estimator, left.dataset.features),
            run=_facts(run),
        ),
    )
    print(folder)
    return 0


def _facts(run: Run) -> RunFacts:
    assert run.train_accuracy is not None  # noqa: S101  a finished run has both
    assert run.test_accuracy is not None  # noqa: S101
    return RunFacts(
        id=run.id,
        dataset=run.dataset,
        dataset_sha256=run.dataset_sha256,
        target=run.target,
        estimator=run.estimator,
        parameters=run.parameters,
        seed=run.seed,
        started_at=run.started_at,
        train_accuracy=run.train_accuracy,
        test_accuracy=run.test_accuracy,
    )


def _tell(certificate: Certificate) -> None:
    parity = certificate.parity
    print(
        f"parity {'proven' if parity.passed else 'FAILED'}: {parity.label_mismatches} of {parity.rows} labels differ; "
        f"probabilities by at most {parity.max_probability_difference:.1e} (tolerance {parity.tolerance:.0e})",
        file=sys.stderr,
    )
    if parity.passed:
        return
    print("nothing is published; the worst rows:", file=sys.stderr)
    for worst in certificate.worst:
        print(f"  {worst.row}", file=sys.stderr)
        print(f"    estimator:      {_words(worst.estimator)}", file=sys.stderr)
        print(f"    compiled model: {_words(worst.session)}", file=sys.stderr)


def _words(answer: Answer) -> str:
    return f"{answer.label!r}, probabilities {', '.join(f'{value:.6f}' for value in answer.probabilities)}"


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert",
        description="Compile a run to ONNX, prove that it answers as the estimator does, and publish it as a version.",
    )
    parser.add_argument(
        "run_id", metavar="RUN_ID", type=int, help="the run's id, as `python -m training runs` lists it"
    )
    parser.add_argument("--name", help="the model's name in the repository and in routes (default: the dataset's)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("COROLLA_DATA_DIR") or "data"),
        help="where the log and the runs are (default: data; variable: COROLLA_DATA_DIR)",
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("COROLLA_MODELS_DIR") or "models"),
        help="the model repository (default: models; variable: COROLLA_MODELS_DIR)",
    )
    return parser
