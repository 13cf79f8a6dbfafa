"""A finished run -> a candidate for publication: compiled, compared, and timed."""

import functools
import math
from pathlib import Path
from typing import Literal

import attrs

from convert.compile.child import ChildCompiler
from convert.compile.features import describe_features
from convert.parity.answers import to_rows
from convert.parity.probes import make_probes
from convert.parity.proof import prove
from convert.publishing.precision import Climb, climb
from server.coalescing.cost import measure
from server.errors import SessionError
from server.models.session import Session
from training.artifacts import Artifacts, load_artifacts
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
    with ChildCompiler(data_dir, run.id) as compiler:
        left = load_artifacts(RunLog(data_dir).folder(run.id), run)
        features = describe_features(left.dataset)
        probes = make_probes(left.estimator, left.dataset.features, features)
        climbed = climb(
            functools.partial(compiler.compile, features),
            lambda compiled: prove(left.estimator, compiled, probes),
            allowed_mismatches,
        )
    return Candidate(run, left, climbed, measure_row(climbed, left))


def measure_row(climbed: Climb, left: Artifacts) -> float:
    """Gives how long one row takes, in microseconds; for ever, where what is not proven does not answer it.

    Args:
        climbed: The compiled model.
        left: What its run left, of which the first row is asked.
    """
    session = Session(climbed.compiled.model, climbed.compiled.signature)
    row = to_rows(left.dataset.features.iloc[:1])
    try:
        return measure(lambda rows: session.run(row * rows)).of(1) * 1e6
    except SessionError:
        return math.inf
