"""Loaded models, and one real server of them for tests that only send requests."""

from collections.abc import Iterator

import pytest

from server.doctor.child import Child, serving
from server.models.catalog import Model, load_catalog
from tests.support.workshop import Workshop


@pytest.fixture(scope="session")
def models(iris_workshop: Workshop) -> list[Model]:
    return list(load_catalog(iris_workshop.models_dir, threads=1).models.values())


@pytest.fixture(scope="session")
def child(iris_workshop: Workshop) -> Iterator[Child]:
    with serving(["--models-dir", str(iris_workshop.models_dir)], workers=1) as started:
        yield started
