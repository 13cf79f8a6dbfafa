"""What tests of convert need: the Iris run's estimator and session, and a publication that is ready to go out."""

import functools
from pathlib import Path

import attrs
import pytest

from convert.compile.export import Compiled
from convert.parity.probes import Probes, make_probes
from convert.parity.proof import Proof, prove
from convert.publishing.precision import Attempt
from convert.publishing.publish import Publication
from server.models.repository import MODEL_FILE
from server.models.session import Session
from tests.support.tables import FEW_ROWS, Specimen, make_specimen, mixed_table, probes_of
from tests.support.workshop import IRIS_CSV, Workshop
from training.artifacts import Artifacts, load_artifacts
from training.cli import main as training_main
from training.dataset import Dataset
from training.estimators import Estimator
from training.runlog import RunLog

OWN_MODULE = """
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier


class Own(LogisticRegression):
    pass


def forest():
    return RandomForestClassifier(20)


def tree():
    return DecisionTreeClassifier()


def boosting():
    return GradientBoostingClassifier(n_estimators=10)


def neighbours():
    return KNeighborsClassifier()


def perceptron():
    return MLPClassifier(max_iter=20)


def by_columns():
    scaled = ColumnTransformer([("scaled", StandardScaler(), ["PetalWidthCm", "SepalLengthCm"])])
    return make_pipeline(scaled, LogisticRegression())


def imputed():
    return make_pipeline(SimpleImputer(), LogisticRegression(solver="newton-cholesky"))


def scaled():
    return make_pipeline(StandardScaler(), LogisticRegression())
"""


@pytest.fixture(autouse=True)
def plain_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws no plots where a test publishes: that takes longer than all the rest, and has tests of its own."""
    if "real_reports" not in request.fixturenames:
        monkeypatch.setattr("convert.cli.make_report", lambda *_arguments: b"<!doctype html>")


@pytest.fixture
def real_reports() -> None:
    """Has a test publish with the report that a user gets."""


@pytest.fixture
def artifacts(iris_workshop: Workshop) -> Artifacts:
    """The artifacts of the Iris run, loaded anew: a test may change the estimator."""
    return load_artifacts(iris_workshop.data_dir / "runs" / "1", RunLog(iris_workshop.data_dir).find(1))


@pytest.fixture
def estimator(artifacts: Artifacts) -> Estimator:
    return artifacts.estimator


@pytest.fixture(scope="session")
def compiled(iris_workshop: Workshop) -> Compiled:
    model = (iris_workshop.version_dir / MODEL_FILE).read_bytes()
    return Compiled(model=model, signature=iris_workshop.manifest().signature)


@pytest.fixture
def session(compiled: Compiled) -> Session:
    return Session(compiled.model, compiled.signature)


@pytest.fixture(scope="session")
def proof(iris_workshop: Workshop, compiled: Compiled, iris: Dataset) -> Proof:
    """That the Iris model answers the table's own rows as the estimator does."""
    artifacts = load_artifacts(iris_workshop.data_dir / "runs" / "1", RunLog(iris_workshop.data_dir).find(1))
    return prove(artifacts.estimator, compiled, (Probes("known", iris.features),))


@pytest.fixture
def publication(iris_workshop: Workshop, compiled: Compiled, proof: Proof) -> Publication:
    manifest = iris_workshop.manifest()
    return Publication(
        name="iris",
        model_name=manifest.model_name,
        compiled=compiled,
        certificate=proof.certificate,
        attempts=(Attempt("float32", None),),
        golden=proof.golden,
        run=manifest.run,
    )


@pytest.fixture
def probes(estimator: Estimator, iris: Dataset) -> tuple[Probes, ...]:
    return probes_of(estimator, iris)


@pytest.fixture
def regressor() -> Specimen:
    """A regressor of a table of every kind of column."""
    return make_specimen(mixed_table(None), "ridge")


@attrs.frozen
class Bench:
    """An empty place to train, convert and publish in, with the user's own module on the path."""

    data_dir: Path
    models_dir: Path

    def train(self, *options: str, source: Path = IRIS_CSV, target: str = "Species") -> int:
        return training_main(["train", str(source), target, "--data-dir", str(self.data_dir), *options])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    (tmp_path / "convert_own_module.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Bench(tmp_path / "data", tmp_path / "models")


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes conversions draw a few rows in the training range, not twenty thousand."""
    make_few = functools.partial(make_probes, generated_rows=FEW_ROWS)
    monkeypatch.setattr("convert.publishing.candidate.make_probes", make_few)
