"""Large bodies that are read at the same time have a bound together, and what is beyond it is told so."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from server.api.asgi import _receive_body
from server.wire.connections import ConnectionLimits, ConnectionRegistry
from server.wire.limits import REGISTRY, SMALL_BODY_BYTES, LimitedProtocol

LARGE_BYTES = 2 * SMALL_BODY_BYTES
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"


async def answer(_scope: object, receive: object, send: object) -> None:
    """Reads the body and answers."""
    await _receive_body(receive)  # type: ignore[arg-type]  # as uvicorn gives it
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]


async def answer_at_length(_scope: object, _receive: object, send: object) -> None:
    """Answers with more than any buffer holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": bytes(2**26)})  # type: ignore[operator]


@asynccontextmanager
async def limited(registry: ConnectionRegistry, app: Callable[..., Any] = answer) -> AsyncIterator[int]:
    """Serves with the limits, and gives the port."""
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    registry.start()
    server = await loop.create_server(
        lambda: LimitedProtocol(config, state, {REGISTRY: registry}, loop), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        for connection in list(registry.connections):
            connection.transport.abort()  # type: ignore[attr-defined]  # a protocol's
    registry.stop()


async def begin(port: int, size_bytes: int, sent_bytes: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a request as far as that much of its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD % size_bytes + b" " * sent_bytes)
    await writer.drain()
    return reader, writer


async def held(registry: ConnectionRegistry, size_bytes: int) -> None:
    """Waits until that much is held; the whole test is bounded."""
    while registry.held_bytes != size_bytes:  # noqa: ASYNC110  a number has no event
        await asyncio.sleep(0)


def test_large_bodies_are_read_as_far_as_there_is_room_and_small_ones_always() -> None:
    async def scenario() -> None:
        registry = ConnectionRegistry(ConnectionLimits(max_body_bytes=2**20, max_held_bytes=LARGE_BYTES), lambda: None)
        async with limited(registry) as port:
            first, first_writer = await begin(port, LARGE_BYTES, LARGE_BYTES - 1)
            await held(registry, LARGE_BYTES - 1)
            second, second_writer = await begin(port, LARGE_BYTES, LARGE_BYTES)
            refused = await second.readuntil(b"}")
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in refused
            assert refused.endswith(b'{"error":"too many large bodies are being sent at once"}')
            assert registry.refusals == {(503, "memory"): 1}
            small, small_writer = await begin(port, SMALL_BODY_BYTES, SMALL_BODY_BYTES)
            assert (await small.readline()).startswith(b"HTTP/1.1 200 ")
            first_writer.write(b" ")
            assert (await first.readline()).startswith(b"HTTP/1.1 200 ")
            assert registry.held_bytes == 0
            gone, gone_writer = await begin(port, LARGE_BYTES, 10)
            await held(registry, 10)
            gone_writer.close()
            await held(registry, 0)
            assert await gone.read() == b""
            for writer in (first_writer, second_writer, small_writer):
                writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_headers_and_a_body_that_take_too_long_are_counted() -> None:
    async def scenario() -> None:
        registry = ConnectionRegistry(ConnectionLimits(max_body_bytes=9, max_held_bytes=9), lambda: None)
        async with limited(registry) as port:
            for number, sent in enumerate([(HEAD % 9)[:9], HEAD % 9 + b" "], 1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                while not any(one._state in {"headers", "body"} for one in registry.connections):  # type: ignore[attr-defined]  # noqa: ASYNC110  as in held
                    await asyncio.sleep(0)
                for connection in registry.connections:
                    connection.check(float("inf"))
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
                assert registry.refusals == {(408, "timeout"): number}
                writer.close()
                while registry.connections:  # noqa: ASYNC110  as in held
                    await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_client_that_reads_nothing_for_too_long_is_cut_off() -> None:
    async def scenario() -> None:
        registry = ConnectionRegistry(ConnectionLimits(max_body_bytes=1, max_held_bytes=1, body_s=1.0), lambda: None)
        async with limited(registry, answer_at_length) as port:
            with socket.create_connection(("127.0.0.1", port)) as silent:
                silent.sendall(HEAD % 0)
                while not registry.connections:  # noqa: ASYNC110  as in held
                    await asyncio.sleep(0)
                while registry.connections:  # noqa: ASYNC110  as in held
                    await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))
