"""One real server for every test that only asks, and versions that a test may spoil."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import httpx
import pytest

import convert.cli
from server.contract.signature import Label
from tests.support.container_process import serving_in_container
from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving
from tests.support.typed_model import typed_manifest, typed_model
from tests.support.versions import write_version
from tests.support.workshop import Workshop

TYPED: Mapping[str, tuple[Label, ...]] = {
    "booleans": (False, True),
    "wholes": (0, 1),
    "words": ("no", "yes"),
    "numbers": (),
}
Start = Callable[..., AbstractContextManager[ServerProcess]]


def serve_for_all(start: Start, models_dir: Path, max_body_bytes: int, way: Sequence[str]) -> Iterator[ServerProcess]:
    """Yield a server that many tests ask, and fail unless it then stops as it should."""
    with start(models_dir, "--max-body-bytes", str(max_body_bytes), "--keep-alive-s", "5", *way) as running:
        yield running
        assert running.stop() == 0


def client_of(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="session", params=BOTH_WAYS)
def server(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Every test that asks it holds with the lane and without, and in a container too."""
    image = request.config.getoption("--image")
    start = functools.partial(serving_in_container, image) if image else serving
    yield from serve_for_all(start, iris_workshop.models_dir, 600_000, request.param)


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    yield from client_of(server)


@pytest.fixture(scope="session")
def typed_models(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of features of every type, by what they answer: booleans, whole numbers, text and any numbers."""
    folder = tmp_path_factory.mktemp("typed")
    for name, labels in TYPED.items():
        manifest = typed_manifest(iris_workshop.manifest(), labels, numbers="FP64" if name == "numbers" else "FP32")
        facts = attrs.evolve(manifest, name=name, model_name=f"{name}_1")
        write_version(folder, facts, typed_model(facts.signature))
    return folder


@pytest.fixture(scope="session", params=BOTH_WAYS)
def typed_server(typed_models: Path, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    yield from serve_for_all(serving, typed_models, 100_000, request.param)


@pytest.fixture(scope="session")
def typed_client(typed_server: ServerProcess) -> Iterator[httpx.Client]:
    yield from client_of(typed_server)


@pytest.fixture(scope="session")
def published_twice(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One with two versions, that tests copy."""
    made = iris_workshop.copy_to(tmp_path_factory.mktemp("twice"))
    assert convert.cli.main(["1", "--data-dir", str(made.data_dir), "--models-dir", str(made.models_dir)]) == 0
    return made


@pytest.fixture
def two_versions(published_twice: Workshop, tmp_path: Path) -> Workshop:
    """A copy that a test may break."""
    return published_twice.copy_to(tmp_path / "workshop")
