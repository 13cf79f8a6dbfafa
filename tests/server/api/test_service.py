"""Requests are coalesced only as far as the parity proof and the golden rows allow."""

import attrs
import pytest

from server.api.service import open_service
from server.models.catalog import load_catalog
from server.settings import Settings
from server.telemetry.metrics import Metrics
from tests.support.workshop import Workshop

QUEUE_ROWS = 1000


def test_a_model_that_is_not_batch_invariant_answers_each_row_by_itself(iris_workshop: Workshop) -> None:
    model = load_catalog(iris_workshop.models_dir, threads=1).models["iris"]
    service = open_service(model, Settings(), QUEUE_ROWS)
    assert b'mode="off"' not in Metrics({"iris": service.metrics}).text()
    service = open_service(attrs.evolve(model, batch_invariant=False), Settings(max_batch_rows=8), QUEUE_ROWS)
    assert service.coalescer.limits.max_batch_rows == 1
    text = Metrics({"iris": service.metrics}).text()
    assert b"answers change with the batch by more than the certificate's tolerance" in text
    assert "each row runs by itself (answers change" in service.about


@pytest.mark.parametrize(("asked", "rows"), [(8, 8), (65_536, 1024)])
def test_no_batch_is_larger_than_the_largest_proven_one(iris_workshop: Workshop, asked: int, rows: int) -> None:
    model = load_catalog(iris_workshop.models_dir, threads=1).models["iris"]
    assert open_service(model, Settings(max_batch_rows=asked), QUEUE_ROWS).coalescer.limits.max_batch_rows == rows


def test_the_queue_limit_is_the_given_one(iris_workshop: Workshop) -> None:
    model = load_catalog(iris_workshop.models_dir, threads=1).models["iris"]
    assert open_service(model, Settings(), 7).coalescer.limits.max_queue_rows == 7
