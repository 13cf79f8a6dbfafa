"""While a large body is decoded, however long that takes, the loop answers others; waits for it have a bound."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import attrs
import msgspec
import pytest
import uvicorn
from litestar.types import HTTPScope, Receive, Scope, Send
from uvicorn.server import ServerState

from server.api.asgi import respond
from server.api.endpoint import RouteTable
from server.api.lane import ROUTES, Lane
from server.api.predict import make_endpoints
from server.api.service import open_service
from server.codec.json_rows import Codec
from server.contract.signature import Row
from server.errors import DeadlineError, InvalidRowError, OverloadedError
from server.models.catalog import Model, load_model
from server.settings import Settings
from server.wire.connections import ConnectionLimits, ConnectionRegistry
from server.wire.limits import REGISTRY
from server.wire.offload import INLINE_BODY_BYTES, Offload
from server.wire.replies import Reply, send_reply
from tests.support.wire import post
from tests.support.workshop import IRIS_ROW, Workshop

BOUND_S = 10
LARGE = b" " * INLINE_BODY_BYTES
ROW = msgspec.json.encode(IRIS_ROW) + LARGE
CSV = ",".join(IRIS_ROW).encode() + b"\n5,2,3,4." + b"0" * INLINE_BODY_BYTES


class Gate:
    """Lets a thread that decodes go on only once it is opened, and tells when it has come so far."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.entered = threading.Event()
        self.opened = threading.Event()

    def pass_through(self, body: bytes) -> bytes:
        self.bodies.append(body)
        self.entered.set()
        assert self.opened.wait(BOUND_S)
        return body

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, BOUND_S)


class GatedCodec(Codec):
    """A codec that takes as long for a body as its gate is shut."""

    def __init__(self, like: Model, gate: Gate) -> None:
        super().__init__(like.manifest.signature, like.manifest.model_name)
        self._gate = gate

    def decode_row(self, body: bytes) -> Row:
        return super().decode_row(self._gate.pass_through(body))

    def decode_rows(self, body: bytes, max_rows: int) -> list[Row]:
        return super().decode_rows(self._gate.pass_through(body), max_rows)

    def decode_csv(self, body: bytes, max_rows: int) -> list[Row]:
        return super().decode_csv(self._gate.pass_through(body), max_rows)


class Body:
    """What can be told to be gone; bytes cannot."""

    def __len__(self) -> int:
        return 2


def deadline_in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def until(holds: Callable[[], bool]) -> None:
    """Lets the loop go on until something holds; what runs the scenario has a bound."""
    while not holds():  # noqa: ASYNC110  a count has no event
        await asyncio.sleep(0)


def make_registry() -> ConnectionRegistry:
    return ConnectionRegistry(ConnectionLimits(max_body_bytes=2**20, max_held_bytes=2**20), lambda: None)


def run(scenario: Callable[[ConnectionRegistry, Offload], Coroutine[Any, Any, None]]) -> None:
    registry = make_registry()
    offload = Offload(registry)
    try:
        asyncio.run(asyncio.wait_for(scenario(registry, offload), 3 * BOUND_S))
    finally:
        offload.close()


@asynccontextmanager
async def served(workshop: Workshop, gate: Gate, registry: ConnectionRegistry, offload: Offload) -> AsyncIterator[int]:
    """Serves the Iris model with a gate before its codec, by the lane where that takes a request; gives the port."""
    model = load_model(workshop.version_dir, "iris", 1, threads=1)
    service = attrs.evolve(open_service(model, Settings(), queue_rows=1000), codec=GatedCodec(model, gate))
    routes = RouteTable(make_endpoints([service]), access_log=False)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http = cast(HTTPScope, scope)
        if http["path"] == "/healthz":
            await send_reply(send, Reply(200, b"alive"))
        else:
            await respond(routes.endpoints[http["path"].encode()], http, receive, send, offload)

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state = {REGISTRY: registry, ROUTES: routes}
    loop = asyncio.get_running_loop()
    registry.start()
    server = await loop.create_server(lambda: Lane(config, ServerState(), state, loop), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await service.coalescer.close()
    registry.stop()


async def ask(port: int, request: bytes) -> bytes:
    """Asks over a connection of its own and gives the status line and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.close()
    return head.split(b"\r\n")[0] + b" " + body


ONE = b'HTTP/1.1 200 OK {"output":"Iris-virginica","model_name":"log_reg_1"}'
MANY = b'HTTP/1.1 200 OK {"outputs":["Iris-virginica"],"model_name":"log_reg_1"}'
TARGET = b"/iris/predict"


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (post(ROW, target=TARGET), ONE),
        (post(b"%x\r\n%s\r\n0\r\n\r\n" % (len(ROW), ROW), b"transfer-encoding: chunked", target=TARGET), ONE),
        (post(ROW, target=TARGET + b"?probabilities=false"), ONE),
        (post(b"[" + ROW + b"]", target=TARGET + b"/rows"), MANY),
        (post(CSV, b"content-type: text/csv", target=TARGET + b"/rows"), MANY),
    ],
    ids=["row", "row in chunks", "row with a query", "rows", "csv"],
)
def test_health_is_told_while_a_large_body_is_decoded(
    iris_workshop: Workshop, request_bytes: bytes, answer: bytes
) -> None:
    gate = Gate()

    async def scenario(registry: ConnectionRegistry, offload: Offload) -> None:
        async with served(iris_workshop, gate, registry, offload) as port:
            asking = asyncio.ensure_future(ask(port, request_bytes))
            await gate.wait_until_entered()
            assert registry.held_bytes == len(gate.bodies[0])
            assert await ask(port, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") == b"HTTP/1.1 200 OK alive"
            assert not asking.done()
            gate.opened.set()
            assert await asking == answer
            assert registry.held_bytes == 0

    run(scenario)


def test_who_waits_for_the_thread_until_the_deadline_is_not_read() -> None:
    first, second = Gate(), Gate()

    async def scenario(registry: ConnectionRegistry, offload: Offload) -> None:
        reading = asyncio.ensure_future(offload.run(first.pass_through, b"abc", deadline_in(BOUND_S)))
        await first.wait_until_entered()
        body: Any = Body()
        left = weakref.ref(body)
        with pytest.raises(DeadlineError, match=r"^the deadline passed before the body was read$"):
            await offload.run(second.pass_through, body, deadline_in(0.001))
        await until(lambda: registry.held_bytes == len(b"abc"))
        del body
        gc.collect()
        assert left() is None
        first.opened.set()
        assert await reading == b"abc"
        assert second.bodies == []

    run(scenario)


def test_a_body_that_is_being_read_past_its_deadline_is_held_until_it_is_read() -> None:
    gate = Gate()

    async def scenario(registry: ConnectionRegistry, offload: Offload) -> None:
        reading = asyncio.ensure_future(offload.run(gate.pass_through, b"abc", deadline_in(0.2)))
        await gate.wait_until_entered()
        with pytest.raises(DeadlineError):
            await reading
        assert registry.held_bytes == len(b"abc")
        gate.opened.set()
        await until(lambda: registry.held_bytes == 0)

    run(scenario)


def test_a_loop_that_ends_before_a_body_is_read_is_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    gate, registry = Gate(), make_registry()
    offload = Offload(registry)

    async def scenario() -> None:
        reading = asyncio.ensure_future(offload.run(gate.pass_through, b"abc", deadline_in(0.2)))
        await gate.wait_until_entered()
        with pytest.raises(DeadlineError):
            await reading

    asyncio.run(scenario())
    gate.opened.set()
    offload.close()
    for thread in threading.enumerate():
        if thread.name.startswith("decode"):
            thread.join(BOUND_S)
    assert caplog.records == []


def test_what_is_wrong_with_a_body_is_told_to_who_waits_for_it() -> None:
    def refuse(_: bytes) -> None:
        raise InvalidRowError("no row", {})

    async def scenario(registry: ConnectionRegistry, offload: Offload) -> None:
        with pytest.raises(InvalidRowError, match=r"^no row$"):
            await offload.run(refuse, b"abc", deadline_in(BOUND_S))
        assert registry.held_bytes == 0

    run(scenario)


def test_a_body_that_was_refused_is_gone_without_the_collector() -> None:
    """It comes by rarely, and a circle of an error and its frames would hold a megabyte each time."""

    def refuse(_: bytes) -> None:
        raise InvalidRowError("no row", {})

    async def ask(offload: Offload) -> "weakref.ref[Any]":
        body: Any = Body()
        with suppress(InvalidRowError):
            await offload.run(refuse, body, deadline_in(BOUND_S))
        return weakref.ref(body)

    async def scenario(_: ConnectionRegistry, offload: Offload) -> None:
        left = await ask(offload)
        # The thread lets go of its work a moment after it has told of the outcome.
        await until(lambda: left() is None)

    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()


def test_a_body_that_would_not_be_read_in_time_is_shed_while_others_wait() -> None:
    gate = Gate()

    async def scenario(_: ConnectionRegistry, offload: Offload) -> None:
        # One byte took some microseconds at least, and so a million would take seconds.
        assert await offload.run(lambda body: body, b"x", deadline_in(BOUND_S)) == b"x"
        waiting = asyncio.ensure_future(offload.run(gate.pass_through, b"abc", deadline_in(BOUND_S)))
        await gate.wait_until_entered()
        with pytest.raises(OverloadedError, match="too many large bodies wait") as shed:
            await offload.run(len, bytes(10**9), deadline_in(0.1))
        assert shed.value.reason == "deadline"
        assert shed.value.retry_after_s > 0
        gate.opened.set()
        assert await waiting == b"abc"
        # Nothing waits any more: it is tried, however long it may take.
        assert await offload.run(len, bytes(10**7), deadline_in(BOUND_S)) == 10**7

    run(scenario)
