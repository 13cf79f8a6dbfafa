"""One real server for every test that only asks."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Workshop
from tests.server_process import ServerProcess, serving


@pytest.fixture(scope="session", params=[(), ("--no-lane",)], ids=["lane", "no-lane"])
def server(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """Every test that asks it holds with the lane and without."""
    with serving(iris_workshop.models_dir, "--max-body-bytes", "600000", *request.param) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened
