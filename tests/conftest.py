"""What tests of several rooms need: an Iris run and its published version, made once by the real commands."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

import convert.cli
import training.cli
from server.manifest import Manifest
from server.repository import MANIFEST_FILE
from training.dataset import Dataset, read_dataset

IRIS_CSV = Path(__file__).parents[1] / "data" / "Iris.csv"
IRIS_ROW: Mapping[str, float] = {"SepalLengthCm": 5, "SepalWidthCm": 2, "PetalLengthCm": 3, "PetalWidthCm": 4}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", help="ask a server in a container of this image, where a test only asks")
    parser.addoption("--base", help="the image that it was built on")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the tests of the image to `just image-test`, which has one."""
    return True if collection_path.name == "container" and not config.getoption("--image") else None


@attrs.frozen
class Workshop:
    """A data directory with one finished run, and a models directory with its published version."""

    data_dir: Path
    models_dir: Path

    @property
    def version_dir(self) -> Path:
        return self.models_dir / "iris" / "1"

    def manifest(self) -> Manifest:
        return Manifest.from_json((self.version_dir / MANIFEST_FILE).read_bytes())

    def copy_to(self, folder: Path) -> "Workshop":
        copied = Workshop(folder / "data", folder / "models")
        shutil.copytree(self.data_dir, copied.data_dir)
        shutil.copytree(self.models_dir, copied.models_dir)
        return copied


@pytest.fixture(scope="session")
def iris_workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The one that all tests share; none may change it."""
    root = tmp_path_factory.mktemp("iris")
    made = Workshop(root / "data", root / "models")
    assert training.cli.main(["train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir", str(made.data_dir)]) == 0
    assert convert.cli.main(["1", "--data-dir", str(made.data_dir), "--models-dir", str(made.models_dir)]) == 0
    return made


@pytest.fixture
def workshop(iris_workshop: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may break."""
    return iris_workshop.copy_to(tmp_path / "workshop")


@pytest.fixture(scope="session")
def iris() -> Dataset:
    return read_dataset(IRIS_CSV, "Species", name="iris", drop=["Id"])
