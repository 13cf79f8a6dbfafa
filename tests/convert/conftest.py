"""What tests of convert need: the Iris run's estimator and session, and a publication that is ready to go out."""

import hashlib
from pathlib import Path

import attrs
import pytest

from convert.export import Compiled
from convert.golden import choose_golden_rows
from convert.parity import Certificate
from convert.publish import Publication
from server.repository import MODEL_FILE
from server.session import Session
from tests.conftest import IRIS_CSV, Workshop
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


@pytest.fixture
def left(iris_workshop: Workshop) -> Artifacts:
    """What the Iris run left, read anew: a test may change the estimator."""
    return load_artifacts(iris_workshop.data_dir / "runs" / "1", RunLog(iris_workshop.data_dir).find(1))


@pytest.fixture
def estimator(left: Artifacts) -> Estimator:
    return left.estimator


@pytest.fixture(scope="session")
def compiled(iris_workshop: Workshop) -> Compiled:
    model = (iris_workshop.version_dir / MODEL_FILE).read_bytes()
    return Compiled(model=model, signature=iris_workshop.manifest().signature)


@pytest.fixture
def session(compiled: Compiled) -> Session:
    return Session(compiled.model, compiled.signature)


@pytest.fixture
def publication(iris_workshop: Workshop, compiled: Compiled, estimator: Estimator, iris: Dataset) -> Publication:
    manifest = iris_workshop.manifest()
    return Publication(
        name="iris",
        model_name=manifest.model_name,
        compiled=compiled,
        certificate=Certificate(hashlib.sha256(compiled.model).hexdigest(), manifest.parity, worst=()),
        golden=choose_golden_rows(estimator, iris.features),
        run=manifest.run,
    )


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
