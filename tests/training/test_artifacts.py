"""What a run leaves is read back as it was, or refused by the file at fault."""

import io
import zipfile
from pathlib import Path

import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, HELD_OUT_FILE, load_artifacts, save_artifacts
from training.dataset import Dataset
from training.errors import TrainingError


class OwnEstimator:
    """An object whose type skops has no reason to trust."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def fitted(iris: Dataset) -> LogisticRegression:
    return LogisticRegression(solver="newton-cholesky").fit(iris.features, iris.target)


@pytest.fixture
def saved(folder: Path, fitted: LogisticRegression, iris: Dataset) -> Path:
    save_artifacts(folder, fitted, iris, (0, 60, 149))
    return folder


def test_what_is_saved_is_read_back_as_it_was(saved: Path, fitted: LogisticRegression, iris: Dataset) -> None:
    left = load_artifacts(saved, "iris", "Species")
    assert left.dataset.sha256() == iris.sha256()
    assert left.held_out.to_csv() == iris.to_csv([0, 60, 149])
    assert left.estimator.predict_proba(iris.features).tolist() == fitted.predict_proba(iris.features).tolist()


def test_a_file_that_is_there_is_never_overwritten(saved: Path, fitted: LogisticRegression, iris: Dataset) -> None:
    with pytest.raises(FileExistsError):
        save_artifacts(saved, fitted, iris, ())
    assert load_artifacts(saved, "iris", "Species").held_out.to_csv() == iris.to_csv([0, 60, 149])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (ESTIMATOR_FILE, "{path}: not an estimator that can be read: "),
        (DATASET_FILE, "expected a file, found none at {path}"),
        (HELD_OUT_FILE, "expected a file, found none at {path}"),
    ],
)
def test_a_missing_file_is_refused_by_its_path(saved: Path, file: str, message: str) -> None:
    (saved / file).unlink()
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(saved, "iris", "Species")
    assert str(refusal.value).startswith(message.format(path=saved / file))


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
def test_a_broken_estimator_is_refused_by_its_path(saved: Path, content: bytes) -> None:
    (saved / ESTIMATOR_FILE).write_bytes(content)
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(saved, "iris", "Species")
    assert str(refusal.value).startswith(f"{saved / ESTIMATOR_FILE}: not an estimator that can be read: ")


def test_an_estimator_that_was_cut_or_altered_anywhere_is_refused_or_the_same(
    saved: Path, fitted: LogisticRegression
) -> None:
    sound = (saved / ESTIMATOR_FILE).read_bytes()
    for place in range(0, len(sound), len(sound) // 40):
        for broken in (sound[:place], sound[:place] + bytes([sound[place] ^ 16]) + sound[place + 1 :]):
            (saved / ESTIMATOR_FILE).write_bytes(broken)
            try:
                left = load_artifacts(saved, "iris", "Species")
            except TrainingError as refusal:
                assert str(refusal).startswith(f"{saved / ESTIMATOR_FILE}: ")  # noqa: PT017  both ends are right
            else:
                assert left.estimator.coef_.tolist() == fitted.coef_.tolist()


def test_an_estimator_of_a_type_that_is_not_scikit_learns_own_is_refused_by_the_type(
    saved: Path,
) -> None:
    (saved / ESTIMATOR_FILE).write_bytes(skops.io.dumps(OwnEstimator()))
    with pytest.raises(TrainingError) as refusal:
        load_artifacts(saved, "iris", "Species")
    assert str(refusal.value).startswith(f"{saved / ESTIMATOR_FILE}: only scikit-learn's own types are loaded, found ")
    assert str(refusal.value).endswith("test_artifacts.OwnEstimator")
