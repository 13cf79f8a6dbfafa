"""What a run leaves is read back as it was, or refused by the file at fault."""

import functools
import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import attrs
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import check_array

from tests.support.fakes import DiskNotes
from tests.training.conftest import CONFIG, Read
from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, HELD_OUT_FILE, load_artifacts, save_artifacts
from training.dataset import Dataset
from training.errors import TrainingError
from training.estimators import Estimator
from training.runlog import ArtifactChecksums, Run

ONLY_TRUSTED = "only types of sklearn, numpy, scipy are loaded, found"


class OwnEstimator(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of a type that nobody has a reason to trust."""


class Impostor(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of a package whose name begins as a trusted one's does."""


Impostor.__module__ = "sklearn_impostor.linear_model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def fitted(iris: Dataset) -> LogisticRegression:
    return LogisticRegression(solver="newton-cholesky").fit(iris.features, iris.target)


@pytest.fixture
def run(folder: Path, fitted: LogisticRegression, iris: Dataset) -> Run:
    """A finished run whose files are in the folder."""
    sums = save_artifacts(folder, fitted, iris, (0, 60, 149))
    facts = {name: value for name, value in attrs.asdict(CONFIG).items() if name != "estimator_name"}
    facts |= {"columns": iris.kinds(), "dataset_sha256": iris.sha256(), "estimator_sha256": sums.estimator}
    return Run(
        **facts,
        id=1,
        started_at="2020-01-01T00:00:00+00:00",
        status="finished",
        reason=None,
        model="log_reg_1",
        metrics={},
        duration_s=1.0,
        held_out_sha256=sums.held_out,
    )


def bind(run: Run, sums: ArtifactChecksums) -> Run:
    """Return the run that would have left files with these sums."""
    return attrs.evolve(run, estimator_sha256=sums.estimator, held_out_sha256=sums.held_out)


def leave(folder: Path, run: Run, content: bytes) -> Run:
    """Put other bytes in the estimator's place, and gives the run that would have left them."""
    (folder / ESTIMATOR_FILE).write_bytes(content)
    return attrs.evolve(run, estimator_sha256=hashlib.sha256(content).hexdigest())


def test_what_is_saved_is_read_back_as_it_was(
    folder: Path, run: Run, fitted: LogisticRegression, iris: Dataset
) -> None:
    left = load_artifacts(folder, run)
    assert left.dataset.sha256() == iris.sha256()
    assert left.held_out.to_csv() == iris.to_csv([0, 60, 149])
    assert left.estimator.predict_proba(iris.features).tolist() == fitted.predict_proba(iris.features).tolist()


def test_the_hashes_that_are_given_are_of_the_files(folder: Path, run: Run) -> None:
    assert run.estimator_sha256 == hashlib.sha256((folder / ESTIMATOR_FILE).read_bytes()).hexdigest()
    assert run.held_out_sha256 == hashlib.sha256((folder / HELD_OUT_FILE).read_bytes()).hexdigest()


def test_every_file_is_on_the_disk_and_then_the_folders_that_name_it(
    tmp_path: Path, fitted: LogisticRegression, iris: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    notes = DiskNotes(monkeypatch, tmp_path)
    save_artifacts(folder, fitted, iris, (0, 60, 149))
    files = {f"runs/1/{file}" for file in (ESTIMATOR_FILE, DATASET_FILE, HELD_OUT_FILE)}
    assert set(notes.steps[:3]) == {f"fsync {file}" for file in files}
    assert notes.steps[3:] == ["fsync runs/1", "fsync runs"]
    assert {file: notes.synced_bytes[file] for file in files} == {
        file: (tmp_path / file).stat().st_size for file in files
    }


def test_a_file_that_is_there_is_never_overwritten(
    folder: Path, run: Run, fitted: LogisticRegression, iris: Dataset
) -> None:
    with pytest.raises(FileExistsError):
        save_artifacts(folder, fitted, iris, ())
    assert load_artifacts(folder, run).held_out.to_csv() == iris.to_csv([0, 60, 149])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (ESTIMATOR_FILE, "{path}: not the estimator of run 1, by its SHA-256"),
        (DATASET_FILE, "expected a file, found none at {path}"),
        (HELD_OUT_FILE, "expected a file, found none at {path}"),
    ],
)
def test_a_missing_file_is_refused_by_its_path(folder: Path, run: Run, file: str, message: str) -> None:
    (folder / file).unlink()
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(folder, run)
    assert str(refusal.value) == message.format(path=folder / file)


def zipped(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_json", ".json"), content)
    return target.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", zipped(), zipped(schema_json="{"), zipped(schema_json="{}")],
    ids=["empty", "no archive", "empty archive", "broken schema", "empty schema"],
)
def test_a_broken_estimator_is_refused_by_its_path(folder: Path, run: Run, content: bytes) -> None:
    broken = leave(folder, run, content)
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(folder, broken)
    assert str(refusal.value).startswith(f"{folder / ESTIMATOR_FILE}: not an estimator that can be read: ")


def test_an_estimator_that_was_cut_or_altered_anywhere_is_refused_by_its_hash(folder: Path, run: Run) -> None:
    sound = (folder / ESTIMATOR_FILE).read_bytes()
    for place in range(0, len(sound), len(sound) // 40):
        for broken in (sound[:place], sound[:place] + bytes([sound[place] ^ 16]) + sound[place + 1 :]):
            (folder / ESTIMATOR_FILE).write_bytes(broken)
            with pytest.raises(TrainingError) as refusal:
                load_artifacts(folder, run)
            assert str(refusal.value) == f"{folder / ESTIMATOR_FILE}: not the estimator of run 1, by its SHA-256"


def test_rows_that_were_altered_are_refused_by_their_hash(folder: Path, run: Run) -> None:
    rows = (folder / DATASET_FILE).read_bytes()
    (folder / DATASET_FILE).write_bytes(rows.replace(b"5.1", b"5.2", 1))
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(folder, run)
    assert str(refusal.value) == f"{folder / DATASET_FILE}: not the rows of run 1, by their SHA-256"


def test_held_out_rows_that_were_altered_or_taken_from_the_others_are_refused_by_their_hash(
    folder: Path, run: Run, iris: Dataset
) -> None:
    rows = (folder / HELD_OUT_FILE).read_bytes()
    for other in (rows.replace(b"5.1", b"5.2", 1), iris.to_csv((0, 60, 148)), iris.to_csv((0, 60))):
        (folder / HELD_OUT_FILE).write_bytes(other)
        with pytest.raises(TrainingError) as refusal:
            load_artifacts(folder, run)
        assert str(refusal.value) == f"{folder / HELD_OUT_FILE}: not the held-out rows of run 1, by their SHA-256"


def test_held_out_rows_of_a_run_from_before_they_had_a_hash_are_taken(folder: Path, run: Run) -> None:
    (folder / HELD_OUT_FILE).write_bytes((folder / HELD_OUT_FILE).read_bytes().replace(b"5.1", b"5.2", 1))
    old = attrs.evolve(run, held_out_sha256=None)
    assert load_artifacts(folder, old).held_out.features.iloc[0, 0] == 5.2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(),
        RandomForestClassifier(5),
        GradientBoostingClassifier(n_estimators=2),
        KNeighborsClassifier(algorithm="kd_tree"),
        MLPClassifier(max_iter=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_made_of_types_of_scikit_learn_numpy_and_scipy_are_read_back(
    tmp_path: Path, run: Run, iris: Dataset, estimator: Estimator
) -> None:
    folder = tmp_path / "runs" / "2"
    folder.mkdir(parents=True)
    sums = save_artifacts(folder, estimator.fit(iris.features, iris.target), iris, (0,))
    again = load_artifacts(folder, bind(run, sums)).estimator
    assert type(again) is type(estimator)
    assert again.predict_proba(iris.features).tolist() == estimator.predict_proba(iris.features).tolist()


def test_a_part_of_the_rows_is_read_as_of_the_kinds_of_them_all(tmp_path: Path, run: Run, read: Read) -> None:
    lines = "1,2,true,7,x\n3,4.5,,red,z\n,5.5,false,blue,007\n"
    dataset = read(f"i,n,b,c,y\n{lines}")
    folder = tmp_path / "runs" / "3"
    folder.mkdir(parents=True)
    estimator = DecisionTreeClassifier().fit([[0], [1]], [0, 1])
    of_these = attrs.evolve(run, target="y", dataset_sha256=dataset.sha256(), columns=dataset.kinds())
    for held_out in ((0,), (1,), (2,), (2, 0)):
        sums = save_artifacts(folder, estimator, dataset, held_out)
        left = load_artifacts(folder, bind(of_these, sums))
        assert left.held_out.kinds() == dataset.kinds()
        assert left.held_out.to_csv() == dataset.to_csv(held_out)
        for file in folder.iterdir():
            file.unlink()


def test_held_out_rows_of_other_kinds_are_refused(folder: Path, run: Run) -> None:
    rows = (folder / HELD_OUT_FILE).read_bytes()
    (folder / HELD_OUT_FILE).write_bytes(rows.replace(b"5.1", b"large", 1))
    with pytest.raises(TrainingError, match=r"^column 'SepalLengthCm': expected values of kind number, found category"):
        load_artifacts(folder, run)


def test_what_a_partial_function_calls_is_looked_at_too(folder: Path, run: Run, iris: Dataset) -> None:
    for function, trusted in ((check_array, True), (shutil.rmtree, False)):
        estimator = make_pipeline(FunctionTransformer(functools.partial(function)), DecisionTreeClassifier())
        left = leave(folder, run, skops.io.dumps(estimator))
        if trusted:
            assert load_artifacts(folder, left).dataset.sha256() == iris.sha256()
        else:
            with pytest.raises(TrainingError, match=rf"{ONLY_TRUSTED} shutil\.rmtree$"):
                load_artifacts(folder, left)


FOREIGN = pytest.mark.parametrize(
    ("foreign", "name"),
    [(OwnEstimator, "test_artifacts.OwnEstimator"), (Impostor, "sklearn_impostor.linear_model.Impostor")],
)


@FOREIGN
def test_an_estimator_of_any_other_type_is_not_read_and_refused_by_that_type_alone(
    folder: Path, run: Run, foreign: type[Estimator], name: str
) -> None:
    mixed = make_pipeline(DecisionTreeClassifier().fit([[0], [1]], [0, 1]), foreign())
    left = leave(folder, run, skops.io.dumps(mixed))
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(folder, left)
    start, _, found = str(refusal.value).rpartition(" ")
    assert start == f"{folder / ESTIMATOR_FILE}: {ONLY_TRUSTED}"
    assert found.endswith(name)


@FOREIGN
def test_an_estimator_that_could_not_be_read_again_is_not_saved_as_sound(
    folder: Path, iris: Dataset, foreign: type[Estimator], name: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        save_artifacts(folder, foreign(), iris, ())
    start, _, found = str(refusal.value).rpartition(" ")
    assert start == f"{folder / ESTIMATOR_FILE}: {ONLY_TRUSTED}"
    assert found.endswith(name)
