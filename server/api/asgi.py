"""Answers a request for an endpoint as an ASGI application: reads its body, asks the model, sends one reply.

This is plain ASGI, since the framework's typed handlers cost more than the prediction itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from litestar.types import HTTPRequestEvent, HTTPScope, Receive, Send

from server.api.endpoint import Call, Endpoint, Intake
from server.contract.signature import Answer
from server.errors import CorollaError
from server.wire.headers import select
from server.wire.offload import INLINE_BODY_BYTES, Offload
from server.wire.replies import Reply, method_not_allowed, send_reply


class ClientGoneError(Exception):
    """The client closed the connection before it could be answered; there is nobody to answer."""


async def respond(endpoint: Endpoint, scope: HTTPScope, receive: Receive, send: Send, offload: Offload) -> None:
    """Answer a request; nothing is sent where the client has gone.

    Args:
        endpoint: What is asked.
        scope: The request's head.
        receive: Gives its body.
        send: Takes the reply.
        offload: What reads large bodies.
    """
    service = endpoint.service
    if scope["method"] != "POST":
        reply = method_not_allowed("POST")
    else:
        try:
            intake = endpoint.accept(scope["query_string"], select(scope["headers"]))
            # The body is handed on, not kept: a large one would stay for as long as its rows wait.
            reply = await _ask(await _read(intake, await _receive_body(receive), offload), receive)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
            reply = service.refuse(error)
    service.metrics.outcomes[endpoint.route, reply.status] += 1
    await send_reply(send, reply)


async def _read(intake: Intake, body: bytes, offload: Offload) -> Call:
    """Read a body, a large one by a thread; the time that this takes is the stage ``parse``."""
    arrived_s = asyncio.get_running_loop().time()

    def read(body: bytes) -> tuple[Call, float]:
        start_s = time.perf_counter()
        return intake.read(body, arrived_s), time.perf_counter() - start_s

    if len(body) <= INLINE_BODY_BYTES:
        call, took_s = read(body)
    else:
        call, took_s = await offload.run(read, body, arrived_s + intake.timeout_s)
    intake.service.metrics.add_parsed(took_s)
    return call


async def _ask(call: Call, receive: Receive) -> Reply:
    """Ask the coalescer; where a run takes long enough for it to matter, a client that goes away is noticed.

    Errors come as values. Raised here, they would hold this frame, and so the rows, until the garbage collector runs.
    """
    service = call.intake.service
    answered: asyncio.Future[list[Answer] | CorollaError] = asyncio.get_running_loop().create_future()

    def settle(outcome: list[Answer] | CorollaError) -> None:
        if not answered.done():
            answered.set_result(outcome)

    pending = service.coalescer.submit(call.rows, settle, call.deadline_s)
    try:
        if service.coalescer.limits.on_worker:
            await _while_connected(answered, receive)
        return _to_reply(call, await answered)
    finally:
        service.coalescer.cancel(pending)


def _to_reply(call: Call, outcome: Sequence[Answer] | CorollaError) -> Reply:
    service = call.intake.service
    if isinstance(outcome, CorollaError):
        return service.refuse(outcome)
    start_s = time.perf_counter()
    try:
        return Reply(200, call.encode(outcome))
    except Exception as error:  # noqa: BLE001  as in `respond`
        return service.refuse(error)
    finally:
        service.metrics.add_encoded(time.perf_counter() - start_s)


async def _while_connected(answered: "asyncio.Future[Any]", receive: Receive) -> None:
    """Wait for the answer.

    Raises:
        ClientGoneError: If the client goes away before.
    """
    # The body has been read, so that the client is gone is all that is left to receive.
    leaving = asyncio.ensure_future(cast(Awaitable[object], receive()))
    try:
        both: set[asyncio.Future[Any]] = {answered, leaving}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise ClientGoneError
    finally:
        leaving.cancel()


async def _receive_body(receive: Receive) -> bytes:
    """Read the whole body, whose size the connection has seen to."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        request = cast(HTTPRequestEvent, message)
        parts.append(request["body"])
        if not request["more_body"]:
            return b"".join(parts)
