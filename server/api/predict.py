"""The prediction routes: ASGI scope and body -> rows -> coalescer -> reply.

They are plain ASGI handlers, since the framework's typed ones cost more than the prediction itself. They know the desks
that they are given, and make none.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar, cast

from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import HTTPRequestEvent, HTTPScope, Receive, Scope, Send

from server.api.service import Desk
from server.contract.signature import Answer, Row
from server.errors import InvalidQueryError
from server.wire.headers import read_headers
from server.wire.offload import INLINE_BODY_BYTES, Decoding
from server.wire.replies import Reply, method_not_allowed, send_reply

T = TypeVar("T")
_QUERIES = {b"": False, b"probabilities=false": False, b"probabilities=true": True}


class ClientGoneError(Exception):
    """The client closed the connection before it could be answered; there is nobody to answer."""


def make_predict_routes(desks: Iterable[Desk], decoding: Decoding) -> list[ASGIRouteHandler]:
    """Makes the routes that predict, two for each model.

    Each model has paths of its own: the framework finds a path without parameters by one look-up, and its plain ASGI
    handlers cannot have any (Litestar 2.25 looks their parameters up by method and answers 500).

    Args:
        desks: The models'.
        decoding: What decodes large bodies.
    """
    return [handler for desk in desks for handler in _make_model_routes(desk, decoding)]


def _make_model_routes(desk: Desk, decoding: Decoding) -> tuple[ASGIRouteHandler, ASGIRouteHandler]:
    async def answer_row(scope: HTTPScope, receive: Receive) -> bytes:
        probabilities, declared = _read_query(scope), read_headers(tuple(scope["headers"]))
        body = await _read_body(receive)
        row, left_s = await _decode(desk, decoding, desk.codec.decode_row, body, declared.deadline_s)
        (answer,) = await _ask(desk, [row], left_s, receive)
        return desk.codec.encode_answer(answer, probabilities=probabilities)

    async def answer_rows(scope: HTTPScope, receive: Receive) -> bytes:
        probabilities, declared = _read_query(scope), read_headers(tuple(scope["headers"]), csv=True)
        read = desk.codec.decode_csv if declared.is_csv else desk.codec.decode_rows
        decode = functools.partial(read, max_rows=desk.coalescer.limits.max_queue_rows)
        rows, left_s = await _decode(desk, decoding, decode, await _read_body(receive), declared.deadline_s)
        answers = await _ask(desk, rows, left_s, receive)
        return desk.codec.encode_answers(answers, probabilities=probabilities)

    @asgi(f"/{desk.name}/predict", copy_scope=False)
    async def predict(scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(desk, "predict", cast(HTTPScope, scope), send, lambda http: answer_row(http, receive))

    @asgi(f"/{desk.name}/predict/rows", copy_scope=False)
    async def predict_rows(scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(desk, "predict_rows", cast(HTTPScope, scope), send, lambda http: answer_rows(http, receive))

    return predict, predict_rows


async def _respond(
    desk: Desk, route: str, scope: HTTPScope, send: Send, answer: Callable[[HTTPScope], Awaitable[bytes]]
) -> None:
    """Sends what ``answer`` gives, or the reply to what it raises; nothing where the client has gone."""
    if scope["method"] != "POST":
        reply = method_not_allowed("POST")
    else:
        try:
            reply = Reply(200, await answer(scope))
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
            reply = desk.refuse(error)
    desk.metrics.outcomes[route, reply.status] += 1
    await send_reply(send, reply)


async def _decode(
    desk: Desk, decoding: Decoding, decode: Callable[[bytes], T], body: bytes, deadline_s: float | None
) -> tuple[T, float | None]:
    """Gives what a body says, and how long its request may take from then on, where that is less than the limit."""
    if len(body) <= INLINE_BODY_BYTES:
        return decode(body), deadline_s
    loop, limit_s = asyncio.get_running_loop(), desk.coalescer.limits.deadline_s
    end_s = loop.time() + (limit_s if deadline_s is None else min(deadline_s, limit_s))
    decoded = await decoding.run(decode, body, end_s - loop.time())
    return decoded, end_s - loop.time()


async def _ask(desk: Desk, rows: Sequence[Row], deadline_s: float | None, receive: Receive) -> list[Answer]:
    """Asks the coalescer; where a run takes long enough for it to matter, a client that goes away is noticed."""
    if not desk.coalescer.limits.on_worker:
        return await desk.coalescer.answer(rows, deadline_s)
    answering = asyncio.ensure_future(desk.coalescer.answer(rows, deadline_s))
    # The body has been read, so that the client is gone is all that is left to receive.
    leaving = asyncio.ensure_future(cast(Awaitable[object], receive()))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGoneError
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()


def _read_query(scope: HTTPScope) -> bool:
    """Reads whether probabilities are asked for."""
    try:
        return _QUERIES[scope["query_string"]]
    except KeyError:
        raise InvalidQueryError("expected no query, or probabilities=true or probabilities=false") from None


async def _read_body(receive: Receive) -> bytes:
    """Reads the whole body, whose size the connection's guard has seen to."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        request = cast(HTTPRequestEvent, message)
        parts.append(request["body"])
        if not request["more_body"]:
            return b"".join(parts)
