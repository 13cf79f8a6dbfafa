"""The prediction routes: ASGI scope and body -> rows -> coalescer -> reply.

They are plain ASGI handlers, since the framework's typed ones cost more than the prediction itself. They know the
catalog and the coalescers that they are given, and make neither.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import cast

from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import HTTPRequestEvent, HTTPScope, Receive, Scope, Send

from server.catalog import Catalog
from server.coalescer import Coalescer
from server.codec import Codec
from server.errors import BodyTooLargeError, InvalidQueryError, MediaTypeError
from server.replies import Reply, method_not_allowed, reply_to, send_reply
from server.signature import Answer, Row

Coalescers = Mapping[str, Coalescer[Row, Answer]]

_QUERIES = {b"": False, b"probabilities=false": False, b"probabilities=true": True}
_JSON = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole; there is nobody to answer."""


def make_predict_routes(catalog: Catalog, coalescers: Coalescers, max_body_bytes: int) -> list[ASGIRouteHandler]:
    """Makes the routes that predict, two for each model.

    Each model has paths of its own: the framework finds a path without parameters by one look-up, and its plain ASGI
    handlers cannot have any (Litestar 2.25 looks their parameters up by method and answers 500).

    Args:
        catalog: The loaded models.
        coalescers: The coalescer of each of them, by the model's name.
        max_body_bytes: The longest body that is read.
    """
    return [
        handler
        for name, model in catalog.models.items()
        for handler in _make_model_routes(name, model.codec, coalescers[name], max_body_bytes)
    ]


def _make_model_routes(
    name: str, codec: Codec, coalescer: Coalescer[Row, Answer], max_body_bytes: int
) -> tuple[ASGIRouteHandler, ASGIRouteHandler]:
    async def answer_row(scope: HTTPScope, receive: Receive) -> bytes:
        probabilities = _read_query(scope)
        row = codec.decode_row(await _read_body(scope, receive, max_body_bytes))
        (answer,) = await coalescer.submit([row])
        return codec.encode_answer(answer, probabilities=probabilities)

    async def answer_rows(scope: HTTPScope, receive: Receive) -> bytes:
        probabilities = _read_query(scope)
        rows = codec.decode_rows(await _read_body(scope, receive, max_body_bytes))
        return codec.encode_answers(await coalescer.submit(rows), probabilities=probabilities)

    @asgi(f"/{name}/predict", copy_scope=False)
    async def predict(scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(scope, receive, send, answer_row)

    @asgi(f"/{name}/predict/rows", copy_scope=False)
    async def predict_rows(scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(scope, receive, send, answer_rows)

    return predict, predict_rows


async def _respond(
    scope: Scope, receive: Receive, send: Send, answer: Callable[[HTTPScope, Receive], Awaitable[bytes]]
) -> None:
    """Sends what ``answer`` gives, or the reply to what it raises; nothing where the client has gone."""
    http_scope = cast(HTTPScope, scope)  # uvicorn is told to serve no websockets
    if http_scope["method"] != "POST":
        await send_reply(send, method_not_allowed("POST"))
        return
    try:
        reply = Reply(200, await answer(http_scope, receive))
    except ClientGoneError:
        return
    except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
        reply = reply_to(error)
    await send_reply(send, reply)


def _read_query(scope: HTTPScope) -> bool:
    """Reads whether probabilities are asked for."""
    try:
        return _QUERIES[scope["query_string"]]
    except KeyError:
        raise InvalidQueryError("expected no query, or probabilities=true or probabilities=false") from None


async def _read_body(scope: HTTPScope, receive: Receive, max_body_bytes: int) -> bytes:
    """Reads the whole body, after its headers have been found fit."""
    _check_headers(scope["headers"], max_body_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        request = cast(HTTPRequestEvent, message)
        size_bytes += len(request["body"])
        _check_size(size_bytes, max_body_bytes)
        parts.append(request["body"])
        if not request["more_body"]:
            return b"".join(parts)


def _check_headers(headers: Iterable[tuple[bytes, bytes]], max_body_bytes: int) -> None:
    for name, value in headers:
        if name == b"content-type" and value.lower() not in _JSON:
            raise MediaTypeError(f"expected the content type application/json, got {value.decode('latin-1')!r}")
        if name == b"content-encoding" and value.lower() != b"identity":
            raise MediaTypeError(f"expected a body without content encoding, got {value.decode('latin-1')!r}")
        if name == b"content-length":
            _check_size(int(value), max_body_bytes)


def _check_size(size_bytes: int, max_body_bytes: int) -> None:
    if size_bytes > max_body_bytes:
        raise BodyTooLargeError(f"expected a body of at most {max_body_bytes} bytes, got {size_bytes} or more")
