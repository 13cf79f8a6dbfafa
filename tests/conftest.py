"""What tests of several rooms need: an Iris run and its published version, made once by the real commands."""

from pathlib import Path

import pytest

import convert.cli
import training.cli
from tests.support.workshop import IRIS_CSV, Workshop
from training.dataset import Dataset, read_dataset

TESTS = Path(__file__).parent
# What `just test-quick` leaves out of training, server and convert: children, processes and heavy proofs.
SLOW = (
    "convert/bundle",
    "convert/compile/test_child.py",
    "convert/converters",
    "convert/parity/test_answers.py",
    "convert/parity/test_bisection.py",
    "convert/parity/test_proof.py",
    "convert/publishing/test_candidate.py",
    "convert/publishing/test_publish.py",
    "convert/report",
    "convert/test_cli.py",
    "convert/test_cli_gates.py",
    "convert/test_cli_several.py",
    "convert/test_cli_train_export.py",
    "convert/test_whole_way.py",
    "server/bundle",
    "server/coalescing/test_coalescer_model.py",
    "server/doctor",
    "server/telemetry/test_worker_counts.py",
    "training/test_migration.py",
    "training/test_named.py",
    "training/test_train.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", help="ask a server in a container of this image, where a test only asks")
    parser.addoption("--base", help="the image that it was built on")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the tests of the image to `just image-test`, which has one."""
    return True if collection_path.name == "container" and not config.getoption("--image") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(TESTS / slow) for slow in SLOW):
            item.add_marker(pytest.mark.slow)


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
