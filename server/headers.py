"""Request headers -> what the prediction routes must know of them; one reading for the lane and the ASGI routes.

It knows nothing of bodies or models.
"""

import functools

from server.errors import InvalidHeaderError, MediaTypeError

DEADLINE_HEADER = b"corolla-deadline-ms"
_JSON = frozenset({b"application/json", b"application/json;charset=utf-8"})
_MAX_DEADLINE_MS = 3_600_000


@functools.lru_cache(maxsize=128)
def read_headers(headers: tuple[tuple[bytes, bytes], ...]) -> float | None:
    """Checks that the body is plain JSON and reads the deadline that the client sets.

    A client mostly sends the same headers again, and they are read once.

    Args:
        headers: Names in lower case, and values.

    Returns:
        How long the request may take, in seconds, where the client says so.

    Raises:
        MediaTypeError: If the body is declared as something other than plain JSON.
        InvalidHeaderError: If the deadline is no whole number of milliseconds.
    """
    deadline_s = None
    for name, value in headers:
        if name == b"content-type":
            if value not in _JSON and _normal(value) not in _JSON:
                raise MediaTypeError(f"expected the content type application/json, got {value.decode('latin-1')!r}")
        elif name == b"content-encoding":
            if value.lower() != b"identity":
                raise MediaTypeError(f"expected a body without content encoding, got {value.decode('latin-1')!r}")
        elif name == DEADLINE_HEADER:
            deadline_s = _read_deadline(value)
    return deadline_s


def _normal(value: bytes) -> bytes:
    """Takes away what RFC 9110 (8.3.1) lets a media type have: spaces, quotes, and any case."""
    return value.lower().translate(None, b' \t"')


def _read_deadline(value: bytes) -> float:
    text = value.decode("latin-1")
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= _MAX_DEADLINE_MS):  # noqa: PLR2004  7 digits are enough for the limit
        raise InvalidHeaderError(
            f"{DEADLINE_HEADER.decode()}: expected whole milliseconds from 1 to {_MAX_DEADLINE_MS}, got {text[:32]!r}"
        )
    return int(text) / 1000
