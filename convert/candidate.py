"""A finished run -> a candidate for publication: compiled, compared, and timed; and of several the one to take."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs

from convert.answers import to_rows
from convert.compiler import Compiler
from convert.errors import ConvertError
from convert.export import describe_features
from convert.ladder import Climb, climb
from convert.parity import prove
from convert.questions import make_questions
from server.cost import measure
from server.errors import CorollaError, SessionError
from server.session import Session
from training.artifacts import Artifacts, load_artifacts
from training.errors import TrainingError
from training.runlog import SCORES, Run, RunLog


@attrs.frozen(eq=False)
class Candidate:
    """What could be published.

    Attributes:
        run: The run that it comes from.
        left: What that left.
        climbed: Its compiled model and the proof, passed or not.
        row_us: How long a batch of one row takes, in microseconds, on this host.
    """

    run: Run
    left: Artifacts
    climbed: Climb
    row_us: float

    @property
    def metric(self) -> Literal["accuracy", "r2"]:
        """What its scores are."""
        return SCORES[self.run.task]

    @property
    def passed(self) -> bool:
        """Whether it is proven equal to its estimator, or as equal as was asked for."""
        return self.climbed.proof.certificate.passed


def make_candidate(data_dir: Path, run: Run, allowed_mismatches: int) -> Candidate:
    """Compiles a run's estimator by the cheapest precision that is proven, and times it.

    Args:
        data_dir: Where the log and the runs are.
        run: A finished run.
        allowed_mismatches: How many rows may differ.

    Raises:
        ConvertError: If it cannot be compiled or compared.
        TrainingError: If its files are not sound.
    """
    with Compiler(data_dir, run.id) as compiler:
        left = load_artifacts(RunLog(data_dir).folder(run.id), run)
        questions = make_questions(left.estimator, left.dataset.features, describe_features(left.dataset))
        climbed = climb(
            compiler.compile, lambda compiled: prove(left.estimator, compiled, questions), allowed_mismatches
        )
    return Candidate(run, left, climbed, _measure_row(climbed, left))


def _measure_row(climbed: Climb, left: Artifacts) -> float:
    """Gives how long one row takes, in microseconds; for ever, where what is not proven does not answer it."""
    session = Session(climbed.compiled.model, climbed.compiled.signature)
    row = to_rows(left.dataset.features.iloc[:1])
    try:
        return measure(lambda rows: session.run(row * rows)).of(1) * 1e6
    except SessionError:
        return math.inf


@attrs.frozen(eq=False)
class Contender:
    """One run of a comparison.

    Attributes:
        run: The run.
        candidate: What came of it; None where it could not be compiled or compared.
        is_close: Whether its mean score is within one standard error of the best.
        fault: Why it cannot be taken; None where it can.
    """

    run: Run
    candidate: Candidate | None
    is_close: bool
    fault: str | None


def contend(data_dir: Path, runs: Sequence[Run], allowed_mismatches: int) -> list[Contender]:
    """Makes candidates of runs that were compared by cross-validation.

    Raises:
        ConvertError: If they were not, or are of different tables or tasks.
    """
    folds = [(run.metrics or {}).get("folds") for run in runs]
    if len({(run.dataset_sha256, run.task, run.seed, run.test_share) for run in runs}) > 1 or not all(folds):
        raise ConvertError("several runs can be held against each other where --estimator auto has made them")
    best = max((one for one in folds if one), key=lambda one: one["mean"])
    least = best["mean"] - best["standard_error"]
    return [
        _contend(data_dir, run, one["mean"] >= least, allowed_mismatches)
        for run, one in zip(runs, folds, strict=True)
        if one
    ]


def _contend(data_dir: Path, run: Run, is_close: bool, allowed_mismatches: int) -> Contender:  # noqa: FBT001  one of its facts
    try:
        candidate = make_candidate(data_dir, run, allowed_mismatches)
    except (ConvertError, CorollaError, TrainingError, OSError) as error:
        return Contender(run, None, is_close, str(error))
    return Contender(run, candidate, is_close, None if candidate.passed else "not proven equal")


def take_fastest(contenders: Sequence[Contender]) -> Candidate:
    """Gives the fastest of those that are proven and within one standard error of the best.

    Raises:
        ConvertError: If there is none.
    """
    able = [
        contender.candidate
        for contender in contenders
        if contender.is_close and not contender.fault and contender.candidate
    ]
    if not able:
        raise ConvertError("of the runs within one standard error of the best, none is proven equal to its estimator")
    return min(able, key=lambda candidate: candidate.row_us)
