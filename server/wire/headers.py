"""Reads from a request's headers what prediction routes must know: the body's media type and the client's timeout."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from server.errors import InvalidHeaderError, MediaTypeError

TIMEOUT_HEADER = b"corolla-deadline-ms"
_JSON, _CSV = b"application/json", b"text/csv"
_PARAMETERS = {_JSON: frozenset({b"charset=utf-8"}), _CSV: frozenset({b"charset=utf-8", b"header=present"})}
_MAX_TIMEOUT_MS = 3_600_000
READ = frozenset({b"content-type", b"content-encoding", b"host", TIMEOUT_HEADER})
"""All headers that an endpoint ever sees: `select` leaves out the others, and the head cache passes over them."""
FRAMING = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"proxy-connection", b"te", b"trailer"}
    | {b"transfer-encoding", b"upgrade"}
)
"""Headers that say where a message ends, or what becomes of its connection; the parser reads them."""
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
"""A host and a port (RFC 9110, section 7.2; RFC 3986, section 3.2.2)."""


class Declared(NamedTuple):
    """What a request says of itself.

    Attributes:
        timeout_s: How long it may take, in seconds from its arrival, where the client says so.
        is_csv: Whether its body is CSV, and not JSON.
    """

    timeout_s: float | None
    is_csv: bool


def select(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that an endpoint may read.

    Args:
        headers: Names in lower case, and values.
    """
    return [header for header in headers if header[0] in READ]


def read_headers(headers: Iterable[tuple[bytes, bytes]], *, csv: bool = False) -> Declared:
    """Check that the route takes the body's media type, and read the timeout that the client sets.

    Args:
        headers: Names in lower case, and values.
        csv: Whether the route takes CSV beside JSON.

    Raises:
        MediaTypeError: If the body is declared as something else.
        InvalidHeaderError: If the timeout is no integer number of milliseconds within its bounds, or the host is none.
    """
    timeout_s, is_csv = None, False
    for name, value in headers:
        if name == b"content-type":
            is_csv = value != _JSON and _is_csv(value, csv=csv)
        elif name == b"content-encoding":
            if value.lower() != b"identity":
                raise MediaTypeError(f"expected a body without content encoding, got {value.decode('latin-1')!r}")
        elif name == b"host":
            if not _HOST.fullmatch(value):
                raise InvalidHeaderError("Invalid host header")
        elif name == TIMEOUT_HEADER:
            timeout_s = _read_timeout(value)
    return Declared(timeout_s, is_csv)


def _is_csv(media_type: bytes, *, csv: bool) -> bool:
    # RFC 9110 (8.3.1) lets a media type have spaces, quotes, any case, and its parameters in any order.
    kind, *parameters = media_type.lower().translate(None, b' \t"').split(b";")
    if (kind == _JSON or (csv and kind == _CSV)) and _PARAMETERS[kind].issuperset(parameters):
        return kind == _CSV
    expected = "application/json" + " or text/csv" * csv
    raise MediaTypeError(f"expected the content type {expected}, got {media_type.decode('latin-1')!r}")


def _read_timeout(value: bytes) -> float:
    text = value.decode("latin-1")
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= _MAX_TIMEOUT_MS):  # noqa: PLR2004  7 digits are enough for the limit
        raise InvalidHeaderError(
            f"{TIMEOUT_HEADER.decode()}: expected whole milliseconds from 1 to {_MAX_TIMEOUT_MS}, got {text[:32]!r}"
        )
    return int(text) / 1000
