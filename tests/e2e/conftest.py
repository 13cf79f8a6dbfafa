"""One real server for every test that only asks."""

import functools
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Workshop
from tests.container_process import serving_in_container
from tests.server_process import ServerProcess, serving


@pytest.fixture(scope="session", params=[(), ("--no-lane",)], ids=["lane", "no-lane"])
def server(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Every test that asks it holds with the lane and without, and in a container too."""
    image = request.config.getoption("--image")
    start = functools.partial(serving_in_container, image) if image else serving
    with start(iris_workshop.models_dir, "--max-body-bytes", "600000", *request.param) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened
