"""What is refused before a model is asked is counted by status and reason; with the lane and without."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server_process import ServerProcess
from tests.support.wire import FORGED, post, wire_to

REFUSED = [
    (FORGED["no HTTP"], 400, "not_http"),
    (post().replace(b"host: localhost", b"host: a/b", 1).replace(b"/iris/predict", b"/nope"), 400, "other"),
    (b"GET /nope HTTP/1.1\r\nhost: x\r\n\r\n", 404, "unknown_route"),
    (post(target=b"/nope"), 404, "unknown_route"),
    (post(target=b"/healthz"), 405, "wrong_method"),
    (post(b"", b"content-length: 600001"), 413, "body_too_large"),
    (post(b"", b"x: " + b"a" * 17_000), 431, "headers_too_large"),
]


def refusals(server: ServerProcess) -> dict[tuple[str, str], float]:
    """Gives how many requests were refused, by status and reason."""
    families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
    return {
        (sample.labels["status"], sample.labels["reason"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "corolla_refused_total"
    }


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    REFUSED,
    ids=["not http", "bad host", "GET of nothing", "POST of nothing", "POST of a page", "large body", "large headers"],
)
def test_a_refusal_is_counted_once_by_its_status_and_reason(
    server: ServerProcess, request_bytes: bytes, status: int, reason: str
) -> None:
    before, label = refusals(server), (str(status), reason)
    with wire_to(server) as wire:
        wire.send(request_bytes)
        assert wire.response()[0] == status
    assert refusals(server) == {**before, label: before.get(label, 0) + 1}


def test_what_a_model_was_asked_is_not_among_the_refused(server: ServerProcess) -> None:
    before = refusals(server)
    with wire_to(server) as wire:
        for request_bytes in (post(), post(b"{"), post().replace(b"POST", b"GET", 1)):
            wire.send(request_bytes)
        assert [wire.response()[0] for _ in range(3)] == [200, 400, 405]
    assert refusals(server) == before
