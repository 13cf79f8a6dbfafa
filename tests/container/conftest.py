"""The image under test, and the one it was built on."""

import pytest


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--image"))


@pytest.fixture(scope="session")
def base(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--base"))
