"""What the tests of abuse have in common: a server of its own for each."""

from collections.abc import Iterator

import pytest

from tests.chaos.good_client import BODY_LIMIT, check_sound, count_at_rest, count_descriptors
from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving, wait_for
from tests.support.workshop import Workshop


@pytest.fixture(params=BOTH_WAYS)
def server(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One of its own for each test: what one has made of the memory would hide what the next does."""
    with serving(iris_workshop.models_dir, "--max-body-bytes", str(BODY_LIMIT), *request.param) as running:
        descriptors = count_at_rest(running)
        yield running
        wait_for("end of all connections", lambda: count_descriptors(running) <= descriptors)
        check_sound(running)
