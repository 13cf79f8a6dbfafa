"""Request headers -> what the prediction routes must know of them; one reading for the lane and the ASGI routes.

It knows nothing of bodies or models.
"""

import functools
from typing import NamedTuple

from server.errors import InvalidHeaderError, MediaTypeError

DEADLINE_HEADER = b"corolla-deadline-ms"
_JSON, _CSV = b"application/json", b"text/csv"
_PARAMETERS = {_JSON: frozenset({b"charset=utf-8"}), _CSV: frozenset({b"charset=utf-8", b"header=present"})}
_MAX_DEADLINE_MS = 3_600_000


class Declared(NamedTuple):
    """What a request says of itself.

    Attributes:
        deadline_s: How long it may take, in seconds, where the client says so.
        is_csv: Whether its body is CSV, and not JSON.
    """

    deadline_s: float | None
    is_csv: bool


@functools.lru_cache(maxsize=128)
def read_headers(headers: tuple[tuple[bytes, bytes], ...], *, csv: bool = False) -> Declared:
    """Checks that the body is of a type that the route takes and reads the deadline that the client sets.

    A client mostly sends the same headers again, and they are read once.

    Args:
        headers: Names in lower case, and values.
        csv: Whether the route takes CSV beside JSON.

    Raises:
        MediaTypeError: If the body is declared as something else.
        InvalidHeaderError: If the deadline is no whole number of milliseconds.
    """
    deadline_s, is_csv = None, False
    for name, value in headers:
        if name == b"content-type":
            is_csv = _is_csv(value, csv=csv)
        elif name == b"content-encoding":
            if value.lower() != b"identity":
                raise MediaTypeError(f"expected a body without content encoding, got {value.decode('latin-1')!r}")
        elif name == DEADLINE_HEADER:
            deadline_s = _read_deadline(value)
    return Declared(deadline_s, is_csv)


def _is_csv(media_type: bytes, *, csv: bool) -> bool:
    # RFC 9110 (8.3.1) lets a media type have spaces, quotes, any case, and its parameters in any order.
    kind, *parameters = media_type.lower().translate(None, b' \t"').split(b";")
    if (kind == _JSON or (csv and kind == _CSV)) and _PARAMETERS[kind].issuperset(parameters):
        return kind == _CSV
    expected = "application/json" + " or text/csv" * csv
    raise MediaTypeError(f"expected the content type {expected}, got {media_type.decode('latin-1')!r}")


def _read_deadline(value: bytes) -> float:
    text = value.decode("latin-1")
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= _MAX_DEADLINE_MS):  # noqa: PLR2004  7 digits are enough for the limit
        raise InvalidHeaderError(
            f"{DEADLINE_HEADER.decode()}: expected whole milliseconds from 1 to {_MAX_DEADLINE_MS}, got {text[:32]!r}"
        )
    return int(text) / 1000
