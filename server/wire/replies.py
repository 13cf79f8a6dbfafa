"""Answers and errors -> HTTP replies: the one place where an error gets its status, its body and its refusal reason."""

import http
import logging
import math
from collections.abc import Mapping
from typing import TypeVar

import attrs
import msgspec
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import Send

from server.errors import (
    BodyTooLargeError,
    DeadlineError,
    HeadersTooLargeError,
    InvalidHeaderError,
    InvalidQueryError,
    InvalidRowError,
    MalformedBodyError,
    MalformedRequestError,
    MediaTypeError,
    OverloadedError,
    RequestTimeoutError,
    SessionError,
    UnanswerableError,
)

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[Exception], int] = {
    InvalidHeaderError: 400,
    InvalidQueryError: 400,
    MalformedBodyError: 400,
    MalformedRequestError: 400,
    RequestTimeoutError: 408,
    BodyTooLargeError: 413,
    MediaTypeError: 415,
    InvalidRowError: 422,
    UnanswerableError: 422,
    HeadersTooLargeError: 431,
    SessionError: 500,
    OverloadedError: 503,
    DeadlineError: 504,
}
"""Each error's status; a subclass has that of the nearest class above it."""
REFUSAL_REASONS: Mapping[type[Exception], str] = {
    MalformedRequestError: "not_http",
    RequestTimeoutError: "timeout",
    BodyTooLargeError: "body_too_large",
    HeadersTooLargeError: "headers_too_large",
    NotFoundException: "unknown_route",
    MethodNotAllowedException: "wrong_method",
}
"""What metrics call the refusal of a request that no model has been asked."""

ValueT = TypeVar("ValueT")


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
    """Return the reply for any exception; one that is no client's fault is logged and answered without its text."""
    status = _find(STATUSES, error)
    if status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("the model failed", extra={"context": {"reason": str(error)}})
        return Reply(500, msgspec.json.encode({"error": "the model failed; the server's log has the cause"}))
    if status is not None:
        body: dict[str, object] = {"error": str(error)}
        if isinstance(error, InvalidRowError) and error.fields:
            body["fields"] = error.fields
        return Reply(status, msgspec.json.encode(body), _headers_for(error))
    if isinstance(error, HTTPException) and error.status_code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_framework(error)
    logger.error("a request failed", exc_info=error)
    return Reply(500, msgspec.json.encode({"error": "internal error; the server's log has the cause"}))


def refusal_reason(error: Exception) -> str:
    """Return what metrics call the refusal of a request."""
    if isinstance(error, OverloadedError):
        return error.reason
    return _find(REFUSAL_REASONS, error) or "other"


def _find(table: Mapping[type[Exception], ValueT], error: Exception) -> ValueT | None:
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def _headers_for(error: Exception) -> tuple[tuple[bytes, bytes], ...]:
    if isinstance(error, OverloadedError):
        return ((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()),)
    return ()


def method_not_allowed(allowed: str) -> Reply:
    """Return the 405 that names the method which the route takes."""
    body = msgspec.json.encode({"error": f"this route takes {allowed} only"})
    return Reply(405, body, ((b"allow", allowed.encode()),))


def render(reply: Reply, default_headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """Return a reply as the bytes of an HTTP response, as uvicorn would write it."""
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
    """Send a reply as ASGI messages."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _of_framework(error: HTTPException) -> Reply:
    """Return the reply to a refusal of the framework's own."""
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        return method_not_allowed(", ".join(sorted((error.headers or {})["allow"].split(", "))))
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        return Reply(
            404, msgspec.json.encode({"error": "no such model or route; GET / lists the models, /docs all routes"})
        )
    return Reply(error.status_code, msgspec.json.encode({"error": error.detail}))
