"""Idle connections are kept, up to a time and a number, and are closed so that no request is lost or half answered."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from server.api.endpoint import RouteTable
from server.api.lane import ROUTES, Lane
from server.wire.connections import MAX_IDLE, ConnectionLimits, ConnectionRegistry, choose_max_idle
from server.wire.limits import REGISTRY, LimitedProtocol

BOUND_S = 20
KEEP_ALIVE_S = 120
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

asked: list[str] = []


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    """Notes the path and answers."""
    asked.append(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(protocol: type[LimitedProtocol], registry: ConnectionRegistry) -> AsyncIterator[int]:
    """Serves with a registry that sweeps only when a test says so; gives the port."""
    config = uvicorn.Config(answer, lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S)
    config.load()
    loop, state = asyncio.get_running_loop(), {REGISTRY: registry, ROUTES: RouteTable({}, access_log=False)}
    server = await loop.create_server(lambda: protocol(config, ServerState(), state, loop), "127.0.0.1", 0)
    registry.start()
    registry.stop()
    async with server:
        yield server.sockets[0].getsockname()[1]
        for connection in list(registry.connections):
            connection.transport.abort()  # type: ignore[attr-defined]  # a protocol's


def run(
    scenario: Callable[[int, ConnectionRegistry], Coroutine[Any, Any, None]],
    protocol: type[LimitedProtocol],
    max_idle: int = 9,
) -> None:
    async def bounded() -> None:
        registry = ConnectionRegistry(ConnectionLimits(1, 1, max_idle=max_idle), lambda: None)
        async with served(protocol, registry) as port:
            await scenario(port, registry)

    asked.clear()
    asyncio.run(asyncio.wait_for(bounded(), BOUND_S))


def sweep(registry: ConnectionRegistry) -> None:
    """Sweeps at the registry's own time."""
    for connection in list(registry.connections):
        connection.check(registry.now_s)
    registry._close_longest_idle()


async def ask(connection: socket.socket, request: bytes = GET) -> None:
    """Asks, and reads the whole answer."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, request)
    answered = b""
    while not answered.endswith(b"\r\n\r\nok"):
        part = await loop.sock_recv(connection, 1000)
        assert part, f"the connection ended after {answered!r}"
        answered += part


async def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)  # noqa: FBT003  the standard library's own
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return connection


async def ended(connection: socket.socket) -> bool:
    """Says whether the stream ends here, in a plain way; False where something else comes."""
    return await asyncio.get_running_loop().sock_recv(connection, 1000) == b""


protocols = pytest.mark.parametrize("protocol", [Lane, LimitedProtocol])


@protocols
def test_an_idle_connection_is_kept_for_the_time_that_is_set_and_closed_then(protocol: type[LimitedProtocol]) -> None:
    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            for _ in range(2):
                await ask(connection)
                registry.now_s += KEEP_ALIVE_S - 1
                sweep(registry)
            await ask(connection)
            registry.now_s += KEEP_ALIVE_S + 1
            sweep(registry)
            assert await ended(connection)

    run(scenario, protocol)


@protocols
def test_a_request_that_came_before_the_close_is_answered(protocol: type[LimitedProtocol]) -> None:
    """Its bytes are in the kernel, and the loop has not read them yet; then its first byte alone has come."""

    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            await ask(connection)
            for request in (GET, GET[:1]):
                connection.send(request)
                registry.now_s += KEEP_ALIVE_S + 1
                sweep(registry)
                await ask(connection, GET[len(request) :])
            assert asked == ["/"] * 3

    run(scenario, protocol)


@protocols
def test_blank_lines_on_an_idle_connection_are_no_request_and_prolong_nothing(protocol: type[LimitedProtocol]) -> None:
    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            await ask(connection)
            (server_side,) = registry.connections
            for _ in range(2):
                connection.send(b"\r\n")
                while server_side.idle_until_s() is not None:  # noqa: ASYNC110  a state has no event
                    await asyncio.sleep(0)
                registry.now_s += registry.limits.header_s / 2 + 1
            while server_side._state != "closing":  # type: ignore[attr-defined]  # a connection's own
                sweep(registry)
                await asyncio.sleep(0)
            assert await ended(connection)

    run(scenario, protocol)


@protocols
def test_a_request_that_comes_after_the_close_meets_its_end_and_is_not_begun(protocol: type[LimitedProtocol]) -> None:
    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            await ask(connection)
            registry.now_s += KEEP_ALIVE_S + 1
            sweep(registry)
            connection.send(GET)
            assert await ended(connection)
            connection.send(GET)
            (server_side,) = registry.connections
            registry.now_s += KEEP_ALIVE_S
            sweep(registry)
            while registry.connections:  # noqa: ASYNC110  a set has no event
                await asyncio.sleep(0)
            assert asked == ["/"]
            server_side.close_idle()  # which it is no more

    run(scenario, protocol)


@protocols
@pytest.mark.parametrize("sent", [0, 1, len(GET)])
def test_a_request_that_came_before_the_server_stops_is_answered(protocol: type[LimitedProtocol], sent: int) -> None:
    """None of it, its first byte or all of it has come; the rest comes once the loop has read that."""

    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            await ask(connection)
            (server_side,) = registry.connections
            connection.send(GET[:sent])
            server_side.shutdown()  # type: ignore[attr-defined]  # a protocol's
            if sent:
                while server_side.idle_until_s() is not None:  # noqa: ASYNC110  a state has no event
                    await asyncio.sleep(0)
                server_side._close_if_idle()  # type: ignore[attr-defined]  # what its timer does
                await ask(connection, GET[sent:])
            assert await ended(connection)
            assert len(asked) == 1 + bool(sent)
            server_side.close_idle()  # which is nothing to close any more

    run(scenario, protocol)


@protocols
def test_bytes_that_wait_to_be_read_as_the_server_stops_are_looked_at_again(protocol: type[LimitedProtocol]) -> None:
    """A blank line is a byte and no request: the connection is closed a moment later, not after the headers' limit."""

    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        with await connect(port) as connection:
            await ask(connection)
            (server_side,) = registry.connections
            connection.send(b"\r\n")
            server_side._close_if_idle()  # type: ignore[attr-defined]  # before the loop has read anything
            assert not server_side.transport.is_closing()  # type: ignore[attr-defined]  # a protocol's
            assert await ended(connection)
            server_side._close_if_idle()  # type: ignore[attr-defined]  # which is nothing to close any more

    run(scenario, protocol)


@protocols
def test_beyond_the_most_that_are_kept_the_longest_idle_is_closed(protocol: type[LimitedProtocol]) -> None:
    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        connections = [await connect(port) for _ in range(5)]
        first, second, third, fourth, silent = connections
        for connection in (first, second, third, fourth, first):
            await ask(connection)
            registry.now_s += 1
        while len(registry.connections) < len(connections):  # noqa: ASYNC110  a set has no event
            await asyncio.sleep(0)
        sweep(registry)
        assert await ended(second)
        assert await ended(third)
        for connection in (first, fourth, silent):
            await ask(connection)
            connection.close()
        second.close()
        third.close()

    run(scenario, protocol, max_idle=2)


def test_the_sweep_closes_what_is_beyond_the_most() -> None:
    async def scenario(port: int, registry: ConnectionRegistry) -> None:
        first, second = await connect(port), await connect(port)
        for connection in (first, second):
            await ask(connection)
            registry.now_s += 1
        registry.start()
        assert await ended(first)
        await ask(second)
        first.close()
        second.close()
        registry.stop()

    run(scenario, LimitedProtocol, max_idle=1)


@pytest.mark.parametrize(("max_open_files", "most"), [(64, 32), (1024, 512), (2**20, MAX_IDLE), (-1, MAX_IDLE), (1, 0)])
def test_half_of_the_files_that_may_be_open_are_left_for_other_connections(max_open_files: int, most: int) -> None:
    assert choose_max_idle(max_open_files) == most
