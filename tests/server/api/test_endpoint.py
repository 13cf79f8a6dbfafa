"""A request is answered by the service that accepted it, even after a hot swap of the route table."""

from collections.abc import Sequence

import attrs
import pytest

from server.api.endpoint import Endpoint, KnownHead, RouteTable
from server.api.predict import PredictRow, PredictRows, make_endpoints
from server.api.service import Service, open_service
from server.contract.signature import Answer, Row
from server.errors import InvalidHeaderError, InvalidQueryError, MediaTypeError
from server.models.catalog import load_model
from server.settings import Settings
from tests.support.wire import ANSWER, BODY
from tests.support.workshop import Workshop

HEAD = b"POST /iris/predict HTTP/1.1\r\n\r\n"


@pytest.fixture(scope="module")
def service(iris_workshop: Workshop) -> Service:
    model = load_model(iris_workshop.version_dir, "iris", 1, threads=1)
    return open_service(model, Settings(deadline_ms=2000), queue_rows=1000)


def test_the_table_has_two_paths_for_each_model(service: Service) -> None:
    other = attrs.evolve(service, name="lily")
    endpoints = make_endpoints([service, other])
    assert list(endpoints) == [b"/iris/predict", b"/iris/predict/rows", b"/lily/predict", b"/lily/predict/rows"]
    assert endpoints[b"/lily/predict"].service is other


@pytest.mark.parametrize("kind", [PredictRow, PredictRows])
def test_a_deadline_counts_from_arrival_and_a_client_can_only_shorten_it(
    service: Service, kind: type[PredictRow] | type[PredictRows]
) -> None:
    endpoint, body = kind(service), BODY if kind is PredictRow else b"[]"
    assert endpoint.accept(b"", []).read(body, 100.0).deadline_s == 102.0
    assert endpoint.accept(b"", [(b"corolla-deadline-ms", b"500")]).read(body, 100.0).deadline_s == 100.5
    assert endpoint.accept(b"", [(b"corolla-deadline-ms", b"5000")]).read(body, 100.0).deadline_s == 102.0


def test_a_call_decodes_rows_and_encodes_their_answers(service: Service) -> None:
    call = PredictRow(service).accept(b"", []).read(BODY, 0.0)
    assert call.encode(service_answers(service, call.rows)) == ANSWER
    assert call.intake.is_prepared
    call = PredictRow(service).accept(b"probabilities=true", []).read(BODY, 0.0)
    assert b'"probabilities":{"Iris-setosa":' in call.encode(service_answers(service, call.rows))
    assert not call.intake.is_prepared
    call = PredictRows(service).accept(b"", []).read(b"[" + BODY + b"," + BODY + b"]", 0.0)
    assert call.encode(service_answers(service, call.rows)).startswith(
        b'{"outputs":["Iris-virginica","Iris-virginica"]'
    )


def service_answers(service: Service, rows: Sequence[Row]) -> Sequence[Answer]:
    return service.coalescer._run(list(rows))


@pytest.mark.parametrize(
    ("query", "headers", "error"),
    [
        (b"x=1", [], InvalidQueryError),
        (b"", [(b"content-type", b"text/html")], MediaTypeError),
        (b"", [(b"corolla-deadline-ms", b"soon")], InvalidHeaderError),
    ],
)
def test_an_invalid_head_is_refused_before_its_body(
    service: Service, query: bytes, headers: list[tuple[bytes, bytes]], error: type[Exception]
) -> None:
    for endpoint in make_endpoints([service]).values():
        with pytest.raises(error):
            endpoint.accept(query, headers)


def test_a_swap_clears_the_head_cache_and_keeps_the_service_of_a_request(service: Service) -> None:
    other = attrs.evolve(service)
    table = RouteTable(make_endpoints([service]), access_log=False)
    before, heads = table.endpoints[b"/iris/predict"], table.heads
    intake = before.accept(b"", [])
    for _ in range(2):
        heads.put(HEAD, 0, KnownHead(intake, 0))
    assert table.heads.meanings.keys() == {HEAD}
    table.replace(make_endpoints([other]))
    after: Endpoint = table.endpoints[b"/iris/predict"]
    assert table.heads.meanings == {}
    assert after.service is other
    assert intake.read(BODY, 0.0).intake.endpoint.service is service
