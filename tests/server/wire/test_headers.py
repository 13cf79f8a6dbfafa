"""What a request declares of its body, in any of the ways that RFC 9110 has of writing it."""

import pytest

from server.errors import InvalidHeaderError, MediaTypeError
from server.wire.headers import Declared, read_headers, select

JSON = ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"']
CSV = [
    "text/csv",
    "TEXT/CSV",
    "text/csv; charset=utf-8",
    'text/csv ; charset="UTF-8"',
    "text/csv; header=present",
    "text/csv; charset=utf-8; header=present",
    "text/csv; header=present; charset=utf-8",
]
NEITHER = [
    "",
    "text/plain",
    "text/html",
    "application/csv",
    "application/json; header=present",
    "application/json; charset=latin-1",
    "text/csv; charset=latin-1",
    "text/csv; header=absent",
    "text/csv;",
    "charset=utf-8",
    "\xff",
]


def declared(media_type: str, *, csv: bool) -> Declared:
    return read_headers(((b"host", b"x"), (b"content-type", media_type.encode("latin-1"))), csv=csv)


@pytest.mark.parametrize("media_type", JSON)
@pytest.mark.parametrize("csv", [False, True])
def test_json_is_taken_everywhere(media_type: str, *, csv: bool) -> None:
    assert declared(media_type, csv=csv) == Declared(None, is_csv=False)


@pytest.mark.parametrize("media_type", CSV)
def test_csv_is_taken_where_the_route_takes_it(media_type: str) -> None:
    assert declared(media_type, csv=True) == Declared(None, is_csv=True)
    with pytest.raises(MediaTypeError) as refused:
        declared(media_type, csv=False)
    assert str(refused.value) == f"expected the content type application/json, got {media_type!r}"


@pytest.mark.parametrize("media_type", NEITHER)
@pytest.mark.parametrize(("csv", "expected"), [(False, "application/json"), (True, "application/json or text/csv")])
def test_anything_else_is_refused_with_what_was_expected(media_type: str, expected: str, *, csv: bool) -> None:
    with pytest.raises(MediaTypeError) as refused:
        declared(media_type, csv=csv)
    assert str(refused.value) == f"expected the content type {expected}, got {media_type!r}"


def test_a_body_of_no_declared_type_is_json() -> None:
    assert read_headers((), csv=True) == Declared(None, is_csv=False)


def test_only_a_body_without_content_encoding_is_taken() -> None:
    assert read_headers(((b"content-encoding", b"Identity"),)) == Declared(None, is_csv=False)
    with pytest.raises(MediaTypeError, match=r"^expected a body without content encoding, got 'gzip'$"):
        read_headers(((b"content-encoding", b"gzip"),))


@pytest.mark.parametrize(("value", "seconds"), [(b"1", 0.001), (b"250", 0.25), (b"3600000", 3600.0)])
def test_a_deadline_is_read_in_milliseconds(value: bytes, seconds: float) -> None:
    assert read_headers(((b"corolla-deadline-ms", value),)).timeout_s == seconds


@pytest.mark.parametrize(
    "value", [b"", b"0", b"-1", b"3600001", b"12345678", b"1.5", b"1e3", b" 1", b"\xb2", b"9" * 99]
)
def test_a_deadline_that_means_nothing_is_refused(value: bytes) -> None:
    with pytest.raises(
        InvalidHeaderError, match=r"^corolla-deadline-ms: expected whole milliseconds from 1 to 3600000"
    ):
        read_headers(((b"corolla-deadline-ms", value),))


@pytest.mark.parametrize(
    "host", [b"localhost", b"a.example:8000", b"127.0.0.1:1", b"[::1]:8000", b"my_host", b"a:", b""]
)
def test_a_host_may_be_a_name_or_an_address_with_a_port(host: bytes) -> None:
    assert read_headers(((b"host", host),)) == Declared(None, is_csv=False)


@pytest.mark.parametrize("host", [b"a/b", b"a b", b"user@a", b"a:80:80", b"a:123456", b"[::1", b"a?b", b"\xff"])
def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    with pytest.raises(InvalidHeaderError, match=r"^Invalid host header$"):
        read_headers(((b"host", host),))


def test_an_endpoint_sees_the_headers_that_are_read_and_no_other() -> None:
    sent = [(b"host", b"x"), (b"x-request-id", b"1"), (b"content-type", b"text/csv"), (b"connection", b"close")]
    assert select(sent) == [(b"host", b"x"), (b"content-type", b"text/csv")]
    assert read_headers(sent[:2]) == Declared(None, is_csv=False)
