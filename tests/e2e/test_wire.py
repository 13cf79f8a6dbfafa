"""HTTP as it stands on the wire, byte by byte: kept, closed, pipelined, cut and forged; with the lane and without."""

import time
from collections.abc import Iterator

import pytest

from tests.support.server_process import ServerProcess
from tests.support.wire import ANSWER, BODY, FORGED, Wire, post, wire_to


@pytest.fixture
def wire(server: ServerProcess) -> Iterator[Wire]:
    with wire_to(server) as opened:
        yield opened


def test_a_connection_is_kept_and_answers_carry_a_date(wire: Wire) -> None:
    for _ in range(3):
        wire.send(post())
        status, headers, body = wire.response()
        assert (status, body) == (200, ANSWER)
        assert list(headers) == ["date", "content-type", "content-length"]


@pytest.mark.parametrize(
    "request_bytes",
    [post(BODY, b"connection: close"), post(version=b"1.0"), post(BODY, b"connection: keep-alive", version=b"1.0")],
    ids=["connection: close", "HTTP/1.0", "HTTP/1.0 keep-alive"],
)
def test_a_connection_that_is_not_to_be_kept_is_closed_after_the_answer(wire: Wire, request_bytes: bytes) -> None:
    wire.send(request_bytes)
    status, headers, body = wire.response()
    assert (status, body, headers["connection"]) == (200, ANSWER, "close")
    assert wire.is_closed()


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in post():
        wire.send(bytes([byte]))
    assert wire.response()[2] == ANSWER


def test_a_chunked_body_is_read(wire: Wire) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
    wire.send(post(chunks + b"0\r\n\r\n", b"transfer-encoding: chunked"))
    assert wire.response()[2] == ANSWER


def test_expect_100_continue_is_answered_first(wire: Wire) -> None:
    wire.send(post(b"", b"expect: 100-continue", b"content-length: %d" % len(BODY)))
    assert wire.response(has_body=False)[0] == 100
    wire.send(BODY)
    assert wire.response()[2] == ANSWER


def test_a_hundred_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    requests = [post(), post(b"{"), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", post(target=b"/nope"), post()]
    wire.send(*requests * 20)
    assert [wire.response()[0] for _ in range(100)] == [200, 400, 200, 404, 200] * 20


def test_a_request_behind_an_unanswered_one_waits_for_its_turn(wire: Wire) -> None:
    wire.send(post()[:-5])
    wire.send(post()[-5:] + post(target=b"/iris/predict?probabilities=true") + post())
    bodies = [wire.response()[2] for _ in range(3)]
    assert bodies[0] == bodies[2] == ANSWER
    assert b"probabilities" in bodies[1]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("target", [b"/iris/predict", b"/iris/predict/rows"])
def test_an_offer_to_upgrade_is_passed_over_and_the_request_answered(
    wire: Wire, protocol: bytes, target: bytes
) -> None:
    body = BODY if target == b"/iris/predict" else b"[" + BODY + b"]"
    request = post(body, b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + protocol, target=target)
    for part in (request, request[:-9], request[-9:]):
        wire.send(part)
    for _ in range(2):
        assert wire.response()[0] == 200


def test_connect_is_400(wire: Wire) -> None:
    wire.send(b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert wire.response()[0] == 400


def test_a_body_without_encoding_may_say_so(wire: Wire) -> None:
    wire.send(post(BODY, b"content-encoding: identity"))
    assert wire.response()[0] == 200


def test_a_host_that_is_none_is_400(wire: Wire) -> None:
    wire.send(post().replace(b"host: localhost", b"host: a/b"))
    status, _, body = wire.response()
    assert (status, body) == (400, b'{"error":"Invalid host header"}')


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_request_is_400_and_nothing_behind_it_is_seen(wire: Wire, forged: bytes) -> None:
    wire.send(forged + b"\r\n" + post())
    status, headers, body = wire.response()
    assert (status, headers["connection"]) == (400, "close")
    assert body.startswith(b'{"error":"the request is not valid HTTP')
    assert wire.is_closed()


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_was_asked_before_a_forged_request_is_answered_and_the_connection_closed(
    wire: Wire, forged: bytes
) -> None:
    wire.send(post() + forged + b"\r\n" + post())
    status, _, body = wire.response()
    assert (status, body) == (200, ANSWER)
    assert wire.is_closed()


@pytest.mark.parametrize("target", [b"/iris/predict", b"/iris/predict/rows"])
def test_a_body_that_grows_too_large_behind_an_unanswered_request_closes_the_connection(
    wire: Wire, target: bytes
) -> None:
    chunks = b"2710\r\n%s\r\n" % (b" " * 10_000) * 61
    wire.send(post() + post(b"", b"transfer-encoding: chunked", target=target) + chunks)
    status, _, body = wire.response()
    assert (status, body) == (200, ANSWER)
    assert wire.is_closed() or wire.response()[0] == 413


def test_a_body_that_goes_on_after_its_request_was_refused_is_cut_off(wire: Wire) -> None:
    wire.send(post(b"", b"transfer-encoding: chunked", b"content-type: text/plain", target=b"/iris/predict/rows"))
    assert wire.response()[0] == 415
    wire.send(b"2710\r\n%s\r\n" % (b" " * 10_000) * 61)
    assert wire.is_closed()


@pytest.mark.parametrize("target", [b"/nope", b"/iris/predict/rows?x", b"/healthz"])
def test_a_body_that_comes_after_its_answer_does_not_keep_the_connection_open(wire: Wire, target: bytes) -> None:
    wire.send(post(b"", b"content-length: 1", target=target))
    assert wire.response()[0] in {400, 404, 405}
    wire.send(b"x")
    assert wire.is_closed()


def test_a_refusal_is_the_last_word_though_a_100_was_due(server: ServerProcess) -> None:
    with wire_to(server) as wire:
        head = post(b"", b"expect: 100-continue", b"transfer-encoding: chunked", target=b"/iris/predict/rows")
        wire.send(head + b"ZZ\r\n")
        assert wire.response()[0] == 400
        assert wire.is_closed()
    assert "Traceback" not in server.log_file.read_text()


def test_an_answer_does_not_wait_for_the_request_behind_it(wire: Wire) -> None:
    wire.send(post() + post()[:20])
    assert wire.response()[2] == ANSWER
    wire.send(post()[20:])
    assert wire.response()[2] == ANSWER


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(BODY, *(b"x-%d: %s" % (number, b"a" * 1000) for number in range(17))),
        post(target=b"/iris/predict?" + b"a" * 17_000),
        post(b"", b"x: " + b"a" * 17_000) + b"no HTTP\r\n\r\n",
        b"GET /" + b"a" * 17_000,
        b"GET / HTTP/1.1\r\nx: " + b"a" * 17_000,
    ],
    ids=["many headers", "a long target", "a long header and then no HTTP", "an endless target", "an endless header"],
)
def test_headers_beyond_their_limit_are_431_and_the_connection_closes(wire: Wire, request_bytes: bytes) -> None:
    wire.send(request_bytes)
    status, headers, body = wire.response()
    assert (status, headers["connection"]) == (431, "close")
    assert body == b'{"error":"expected headers of at most 16384 bytes, got more"}'
    assert wire.is_closed()


@pytest.mark.parametrize("target", [b"/iris/predict", b"/iris/predict/rows", b"/healthz"])
def test_a_body_declared_too_large_is_413_before_it_is_read(wire: Wire, target: bytes) -> None:
    wire.send(post(b"", b"content-length: 600001", target=target))
    status, headers, _ = wire.response()
    assert (status, headers["connection"]) == (413, "close")
    assert wire.is_closed()


@pytest.mark.parametrize("target", [b"/iris/predict", b"/iris/predict/rows"])
def test_a_body_that_grows_too_large_is_413(wire: Wire, target: bytes) -> None:
    wire.send(post(b"", b"transfer-encoding: chunked", target=target), *[b"2710\r\n%s\r\n" % (b" " * 10_000)] * 61)
    assert wire.response()[0] == 413
    assert wire.is_closed()


def test_a_client_that_stops_in_the_middle_is_told_so_in_time(server: ServerProcess) -> None:
    """All at once: one that says nothing, one that stops in its headers, one in its body, and one that goes on."""
    with wire_to(server) as silent, wire_to(server) as in_head, wire_to(server) as in_body, wire_to(server) as good:
        for stopped in (silent, in_head, in_body, good):
            stopped.socket.settimeout(45)
        start_s = time.monotonic()
        in_head.send(b"POST /iris/predict HTTP/1.1\r\nhost: x\r\n")
        in_body.send(post()[:-5])
        assert silent.is_closed()
        assert in_head.response()[2] == b'{"error":"the headers took longer than 10 s"}'
        assert in_head.is_closed()
        assert time.monotonic() - start_s > 9
        good.send(post())
        assert good.is_closed() or good.response()[0] == 200
        status, _, body = in_body.response()
        assert (status, body) == (408, b'{"error":"the body took longer than 30 s"}')
        assert in_body.is_closed()


def test_a_connection_that_asks_nothing_more_is_closed(server: ServerProcess) -> None:
    with wire_to(server) as idle:
        idle.send(post())
        assert idle.response()[0] == 200
        assert idle.is_closed()


@pytest.mark.parametrize("value", [b"0", b"-5", b"x", b"1.5", b"3600001", b"99999999", b"\xb2"])
def test_a_deadline_that_means_nothing_is_400(wire: Wire, value: bytes) -> None:
    wire.send(post(BODY, b"Corolla-Deadline-Ms: " + value))
    status, _, body = wire.response()
    assert status == 400
    assert body.startswith(b'{"error":"corolla-deadline-ms: expected whole milliseconds from 1 to 3600000, got ')
