"""Only what is surely a whole head is kept, and never more than a little of it."""

import pytest

from server.wire.head_cache import MAX_HEAD_BYTES, MAX_HEADS, HeadCache
from server.wire.headers import FRAMING, READ

HEAD = b"POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"


def put_twice(heads: HeadCache[str], request: bytes, body_bytes: int) -> None:
    for _ in range(2):
        heads.put(request, body_bytes, "iris")


def test_the_head_of_a_whole_request_is_kept_without_its_body_the_second_time_it_is_seen() -> None:
    heads = HeadCache[str]()
    heads.put(HEAD + b"{}", 2, "iris")
    assert heads.meanings == {}
    heads.put(HEAD + b"[]", 2, "iris")
    assert heads.meanings == {HEAD: "iris"}


@pytest.mark.parametrize(
    ("request_", "body_bytes"),
    [
        (HEAD + b"{", 2),
        (HEAD + b"{}{", 2),
        (HEAD + b"{}" + HEAD + b"{}", 2),
        (b"\r\n\r\n" + HEAD + b"{}", 2),
        (b"", 2),
        (HEAD.removesuffix(b"\r\n"), 2),
        (HEAD + b"2\r\n{}\r\n0\r\n\r\n", 0),
        (HEAD.replace(b"a", b"a" * MAX_HEAD_BYTES) + b"{}", 2),
    ],
    ids=["short", "long", "two", "blank lines first", "nothing", "no end", "chunked", "too long to keep"],
)
def test_anything_else_is_not_kept(request_: bytes, body_bytes: int) -> None:
    heads = HeadCache[str]()
    put_twice(heads, request_, body_bytes)
    assert heads.meanings == {}


def with_host(number: int) -> bytes:
    return HEAD.replace(b"a", b"%d" % number)


def test_ever_new_heads_take_no_more_room() -> None:
    heads = HeadCache[int]()
    for number in range(3 * MAX_HEADS):
        for _ in range(2):
            heads.put(with_host(number) + b"{}", 2, number)
        assert len(heads.meanings) <= MAX_HEADS
    assert heads.meanings[with_host(number)] == number


def test_heads_that_come_once_leave_those_that_repeat_in_the_cache() -> None:
    heads = HeadCache[str]()
    put_twice(heads, HEAD + b"{}", 2)
    for number in range(3 * MAX_HEADS):
        heads.put(with_host(number) + b"{}", 2, "new")
        assert len(heads._seen_once) <= MAX_HEADS
    assert heads.meanings == {HEAD: "iris"}


GATEWAYS = [
    b"X-Request-Id: %d",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-%02d",
    b"TRACESTATE:congo=t61rc%d",
    b"x-b3-traceid: %d",
    b"X-Amzn-Trace-Id: Root=1-%d",
    b"X-Forwarded-For: 10.0.0.%d",
    b"Cookie: session=%d; \xe9",
    b"My-Own:%d",
]


@pytest.mark.parametrize("line", GATEWAYS)
@pytest.mark.parametrize("place", [b"\r\nHost", b"\r\nContent", b"\r\n\r\n"], ids=["first", "between", "last"])
def test_a_line_that_a_gateway_puts_into_each_request_makes_no_new_head(line: bytes, place: bytes) -> None:
    heads = HeadCache[str]()
    first, second, third = (HEAD.replace(place, b"\r\n" + line % number + place, 1) for number in (1, 2, 3))
    heads.put(first + b"{}", 2, "iris")
    assert heads.get(third) is None
    heads.put(second + b"{}", 2, "iris")
    assert heads.get(third) == heads.get(HEAD) == "iris"
    assert heads.meanings == {HEAD: "iris"}


@pytest.mark.parametrize(
    "other",
    [
        b"\r\nX-Request-Id: 1\r\n" + HEAD,
        b"\n\r\nX-Request-Id: 1\r\n" + HEAD,
        b"\r\r\nX-Request-Id: 1\r\n" + HEAD,
        b"\r\nX-Request-Id: 1" + HEAD,
        HEAD.replace(b"\r\nHost", b"\r\nX-Request-Id: 1\r\n folded\r\nHost"),
        HEAD.replace(b"\r\nHost", b"\r\nX-Request-Id : 1\r\nHost"),
        HEAD.replace(b"\r\nHost", b"\r\nX-Request-Id: \x00\r\nHost"),
        HEAD.replace(b"\r\nHost", b"\r\nX-Request-Id: 1\rx: 2\r\nHost"),
        HEAD.replace(b"\r\nHost", b"\nX-Request-Id: 1\r\nHost"),
        HEAD.replace(b"\r\nHost", b"\r\n X-Request-Id: 1\r\nHost"),
        *[HEAD.replace(b"\r\nHost", b"\r\n%s: 1\r\nHost" % name.title()) for name in sorted(READ | FRAMING)],
        HEAD.replace(b" HTTP/1.1", b" HTTP/1.0\r\nX-Request-Id: 1"),
        HEAD.replace(b"\r\nHost", b"\r\nX-Request-Id: " + b"1" * MAX_HEAD_BYTES + b"\r\nHost"),
    ],
)
def test_a_head_that_differs_in_anything_else_is_another(other: bytes) -> None:
    heads = HeadCache[str]()
    for known in (HEAD, b"\n\r\n" + HEAD, b"\r\r\n" + HEAD):
        put_twice(heads, known + b"{}", 2)
    assert heads.get(other) is None
