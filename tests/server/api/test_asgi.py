"""A failed request frees its rows at once: no reference cycle of an error and its frames keeps them alive."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import cast

import attrs
import pytest
from litestar.types import HTTPScope, Message

from server.api.asgi import respond
from server.api.endpoint import Encode, Headers, Intake
from server.api.service import Service, open_service
from server.coalescing.coalescer import Coalescer
from server.coalescing.pending import Limits
from server.contract.signature import Answer, Row
from server.errors import SessionError
from server.models.catalog import load_model
from server.settings import Settings
from server.wire.connections import ConnectionLimits, ConnectionRegistry
from server.wire.offload import Offload
from tests.support.workshop import Workshop

SCOPE = cast(HTTPScope, {"method": "POST", "query_string": b"", "headers": []})


class Rows(list[Row]):
    """Rows that a weak reference can point to; a plain list cannot be referenced weakly."""


class Probe:
    """An endpoint that keeps a weak reference to its rows."""

    path, route = "/probe", "probe"

    def __init__(self, service: Service) -> None:
        self.service = service
        self.rows: weakref.ref[Rows]

    def accept(self, _query: bytes, _headers: Headers) -> Intake:
        return Intake(self, self.service.timeout_s, self.decode)

    def decode(self, _body: bytes) -> tuple[Sequence[Row], Encode]:
        rows = Rows([(1.0,)])
        self.rows = weakref.ref(rows)
        return rows, self.encode

    def encode(self, _answers: Sequence[Answer]) -> bytes:
        return b"{}"


@pytest.fixture(scope="module")
def service(iris_workshop: Workshop) -> Service:
    return open_service(load_model(iris_workshop.version_dir, "iris", 1, threads=1), Settings(), queue_rows=1000)


def status_of(probe: Probe, *, watched: bool = True) -> int:
    """Send one request with the garbage collector off, and return the status."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}  # type: ignore[return-value,misc]

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        offload = Offload(ConnectionRegistry(ConnectionLimits(2**20, 2**20), lambda: None))
        await respond(probe, SCOPE, receive, send, offload)  # type: ignore[arg-type]
        # The log that pytest keeps holds an error with its frames.
        assert not watched or probe.rows() is None, "the rows are still there"
        offload.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
    finally:
        gc.enable()
    return cast(int, sent[0]["status"])  # type: ignore[typeddict-item]


def fail(rows: list[Row]) -> list[Answer]:
    """Fail as a session does, with a cause that has its own traceback."""
    try:
        return [Answer(float(row[-1] + "x"), ()) for row in rows]  # type: ignore[operator]
    except TypeError as error:
        raise SessionError("no") from error


def answer(rows: list[Row]) -> list[Answer]:
    return [Answer("x", ()) for _ in rows]


@pytest.mark.parametrize("on_worker", [False, True])
@pytest.mark.parametrize(("run", "timeout_s", "status"), [(answer, 9.0, 200), (fail, 9.0, 500), (answer, 0.0, 504)])
def test_rows_are_freed_with_the_reply(
    service: Service, run: Callable[[list[Row]], list[Answer]], timeout_s: float, status: int, *, on_worker: bool
) -> None:
    limits = Limits(8, 8, timeout_s, on_worker)
    coalescer = Coalescer(run, limits, lambda _: 0.0, lambda _: None)
    assert status_of(Probe(attrs.evolve(service, coalescer=coalescer))) == status


def test_an_answer_that_cannot_be_written_is_500(service: Service) -> None:
    class Broken(Probe):
        def encode(self, _answers: Sequence[Answer]) -> bytes:
            raise KeyError("a label that no signature has")

    coalescer = Coalescer(answer, Limits(8, 8, 9.0, on_worker=False), lambda _: 0.0, lambda _: None)
    probe = Broken(attrs.evolve(service, coalescer=coalescer))
    assert status_of(probe, watched=False) == 500


def test_an_answer_that_comes_as_its_request_is_cancelled_is_dropped(service: Service) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}  # type: ignore[return-value,misc]

    async def send(_message: Message) -> None:
        raise AssertionError("nobody is there to be answered")

    async def scenario() -> None:
        coalescer = Coalescer(answer, Limits(8, 8, 9.0, on_worker=False), lambda _: 0.0, lambda _: None)
        offload = Offload(ConnectionRegistry(ConnectionLimits(2**20, 2**20), lambda: None))
        probe = Probe(attrs.evolve(service, coalescer=coalescer))
        asking = asyncio.ensure_future(respond(probe, SCOPE, receive, send, offload))  # type: ignore[arg-type]
        await asyncio.sleep(0)  # it is queued, and its batch runs next
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert coalescer.statistics().queued_rows == 0
        offload.close()

    asyncio.run(scenario())
