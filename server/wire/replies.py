"""Answers and errors -> HTTP replies: the one place where an error gets its status and its body.

It knows nothing of models or of the application that sends a reply.
"""

import http
import logging
import math
from collections.abc import Mapping

import attrs
import msgspec
from litestar.exceptions import HTTPException
from litestar.types import Send

from server.errors import (
    BodyTooLargeError,
    DeadlineError,
    InvalidHeaderError,
    InvalidQueryError,
    InvalidRowError,
    MalformedBodyError,
    MediaTypeError,
    OverloadedError,
    SessionError,
    UnanswerableError,
)

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[Exception], int] = {
    InvalidHeaderError: 400,
    InvalidQueryError: 400,
    MalformedBodyError: 400,
    BodyTooLargeError: 413,
    MediaTypeError: 415,
    InvalidRowError: 422,
    UnanswerableError: 422,
    OverloadedError: 503,
    DeadlineError: 504,
}


@attrs.frozen
class Reply:
    """A whole HTTP answer with a JSON body.

    Attributes:
        status: The status code.
        body: JSON bytes.
        headers: Headers beside content-type and content-length, names in lower case.
    """

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def reply_to(error: Exception) -> Reply:
    """Gives the reply for any exception; one that is no client's fault is logged and answered without its text."""
    if type(error) is SessionError:
        logger.error("the model failed", extra={"facts": {"reason": str(error)}})
        return Reply(500, msgspec.json.encode({"error": "the model failed; the server's log has the cause"}))
    status = STATUSES.get(type(error))
    if status is not None:
        body: dict[str, object] = {"error": str(error)}
        if isinstance(error, InvalidRowError) and error.fields:
            body["fields"] = error.fields
        return Reply(status, msgspec.json.encode(body), _headers_for(error))
    if isinstance(error, HTTPException) and error.status_code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_framework(error)
    logger.error("a request failed", exc_info=error)
    return Reply(500, msgspec.json.encode({"error": "internal error; the server's log has the cause"}))


def _headers_for(error: Exception) -> tuple[tuple[bytes, bytes], ...]:
    if isinstance(error, OverloadedError):
        return ((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()),)
    return ()


def method_not_allowed(allowed: str) -> Reply:
    """Gives the 405 that names the method which the route takes."""
    body = msgspec.json.encode({"error": f"this route takes {allowed} only"})
    return Reply(405, body, ((b"allow", allowed.encode()),))


def render(reply: Reply, default_headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """Gives a reply as the bytes of an HTTP response, as uvicorn would write it."""
    closing = () if keep_alive else ((b"connection", b"close"),)
    headers = (
        *default_headers,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
        *closing,
    )
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    phrase = http.HTTPStatus(reply.status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (reply.status, phrase, lines, reply.body)


async def send_reply(send: Send, reply: Reply) -> None:
    """Sends a reply as ASGI messages."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _of_framework(error: HTTPException) -> Reply:
    """Words the framework's own refusals."""
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        return method_not_allowed(", ".join(sorted((error.headers or {})["allow"].split(", "))))
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        return Reply(
            404, msgspec.json.encode({"error": "no such model or route; GET / lists the models, /docs all routes"})
        )
    return Reply(error.status_code, msgspec.json.encode({"error": error.detail}))
