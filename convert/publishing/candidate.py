"""A finished run -> a candidate for publication: compiled, compared, and timed."""

import math
from pathlib import Path
from typing import Literal

import attrs

from convert.compile.child import Compiler
from convert.compile.export import Compiled, describe_features
from convert.parity.answers import to_rows
from convert.parity.probes import make_questions
from convert.parity.proof import Proof, prove
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
    with Compiler(data_dir, run.id) as compiler:
        left = load_artifacts(RunLog(data_dir).folder(run.id), run)
        # The child describes the features too. The rows to ask are made here meanwhile, while it loads its libraries.
        questions = make_questions(left.estimator, left.dataset.features, describe_features(left.dataset))

        def prove_model(compiled: Compiled) -> tuple[Session, Proof]:
            session = Session(compiled.model, compiled.signature)
            return session, prove(left.estimator, compiled, questions, make_session=lambda *_: session)

        climbed = climb(compiler.compile, prove_model, allowed_mismatches)
    return Candidate(run, left, climbed, measure_row(climbed.session, left))


def measure_row(session: Session, left: Artifacts) -> float:
    """Gives how long one row takes, in microseconds; for ever, where what is not proven does not answer it.

    Args:
        session: The compiled model.
        left: What its run left, of which the first row is asked.
    """
    row = to_rows(left.dataset.features.iloc[:1])
    try:
        return measure(lambda rows: session.run(row * rows)).of(1) * 1e6
    except SessionError:
        return math.inf
