"""Candidate: a finished run whose estimator was compiled, compared to the compiled model, and timed."""

import functools
import math
from pathlib import Path
from typing import Literal

import attrs

from convert.compile.child import ChildCompiler
from convert.compile.export import Compiled
from convert.compile.features import describe_features
from convert.parity.answers import to_rows
from convert.parity.probes import make_probes
from convert.parity.proof import Proof, prove
from convert.publishing.precision import SearchResult, search_precision
from server.coalescing.cost import measure
from server.errors import SessionError
from server.models.session import Session
from training.artifacts import Artifacts, load_artifacts
from training.runlog import SCORES, Run, RunLog


@attrs.frozen(eq=False)
class Candidate:
    """A run that could be published.

    Attributes:
        run: The run.
        artifacts: Its estimator and its tables.
        result: Its compiled model, the session of it, and the proof, passed or failed.
        row_us: How long a batch of one row takes on this host, in microseconds.
    """

    run: Run
    artifacts: Artifacts
    result: SearchResult
    row_us: float

    @property
    def metric(self) -> Literal["accuracy", "r2"]:
        """The metric of the run's scores."""
        return SCORES[self.run.task]

    @property
    def passed(self) -> bool:
        """True if the compiled model is proven equal, or has no more mismatches than were allowed."""
        return self.result.proof.certificate.passed


def make_candidate(data_dir: Path, run: Run, allowed_mismatches: int) -> Candidate:
    """Compile a run's estimator at the cheapest precision that is proven equal, and time it.

    Args:
        data_dir: The folder of the run log and the runs.
        run: A finished run.
        allowed_mismatches: How many rows may differ.

    Raises:
        ConvertError: If it cannot be compiled or compared.
        TrainingError: If its files are not sound.
    """
    with ChildCompiler(data_dir, run.id) as compiler:
        artifacts = load_artifacts(RunLog(data_dir).folder(run.id), run)
        features = describe_features(artifacts.dataset)
        probes = make_probes(artifacts.estimator, artifacts.dataset.features, features)

        def prove_model(compiled: Compiled) -> tuple[Session, Proof]:
            session = Session(compiled.model, compiled.signature)
            return session, prove(artifacts.estimator, compiled, probes, make_session=lambda *_: session)

        result = search_precision(functools.partial(compiler.compile, features), prove_model, allowed_mismatches)
    return Candidate(run, artifacts, result, measure_row(result.session, artifacts))


def measure_row(session: Session, artifacts: Artifacts) -> float:
    """Return how long the table's first row takes, in microseconds; infinity if the model cannot answer it.

    Args:
        session: The compiled model.
        artifacts: The run's artifacts, which hold the table.
    """
    row = to_rows(artifacts.dataset.features.iloc[:1])
    try:
        return measure(lambda rows: session.run(row * rows)).of(1) * 1e6
    except SessionError:
        return math.inf
