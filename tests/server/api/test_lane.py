"""Whatever a model answers, a request on the fast path gets one reply."""

import asyncio
from collections.abc import Callable

import attrs
import pytest
import uvicorn
from litestar.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.api.endpoint import RouteTable
from server.api.lane import ROUTES, Lane
from server.api.predict import make_endpoints
from server.api.service import Service, open_service
from server.coalescing.coalescer import Coalescer
from server.coalescing.pending import Limits
from server.contract.signature import Answer, Row
from server.models.catalog import load_model
from server.settings import Settings
from server.wire.connections import ConnectionLimits, ConnectionRegistry
from server.wire.limits import REGISTRY
from tests.support.wire import post
from tests.support.workshop import Workshop

BOUND_S = 20


async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("no request falls through")


async def ask_three_times(service: Service, request: bytes) -> list[bytes]:
    """Ask over one connection, so that the last request comes behind a cached head; give the status lines."""
    config = uvicorn.Config(refuse, lifespan="off", log_config=None)
    config.load()
    registry = ConnectionRegistry(ConnectionLimits(2**20, 2**20), lambda: None)
    routes = RouteTable(make_endpoints([service]), access_log=True)
    state = {REGISTRY: registry, ROUTES: routes}
    loop = asyncio.get_running_loop()
    registry.start()
    lines = []
    async with await loop.create_server(lambda: Lane(config, ServerState(), state, loop), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        for _ in range(3):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            lines.append(head.partition(b"\r\n")[0])
        writer.close()
    registry.stop()
    assert routes.heads.meanings
    return lines


@pytest.mark.parametrize("target", [b"/iris/predict", b"/iris/predict?probabilities=true", b"/iris/predict/rows"])
@pytest.mark.parametrize(
    ("answer", "status"), [(Answer("Iris-setosa", (1.0, 0.0, 0.0)), b"200 OK"), (Answer("Iris", ()), b"500 Internal")]
)
def test_a_label_that_no_signature_has_is_500_and_the_connection_goes_on(
    iris_workshop: Workshop, target: bytes, answer: Answer, status: bytes
) -> None:
    service = open_service(load_model(iris_workshop.version_dir, "iris", 1, threads=1), Settings(), queue_rows=1000)
    if target.endswith(b"rows"):
        # Of many rows a label is written as it is.
        status = b"200 OK"
    run: Callable[[list[Row]], list[Answer]] = lambda rows: [answer] * len(rows)  # noqa: E731  it needs a type
    limits = Limits(8, 8, 10.0, on_worker=False)
    altered = attrs.evolve(service, coalescer=Coalescer(run, limits, lambda _: 0.0, lambda _: None))
    body = post(target=target) if not target.endswith(b"rows") else post(b"[]", target=target)
    lines = asyncio.run(asyncio.wait_for(ask_three_times(altered, body), BOUND_S))
    assert [line.removeprefix(b"HTTP/1.1 ").startswith(status) for line in lines] == [True] * 3, lines
    route = "predict_rows" if target.endswith(b"rows") else "predict"
    assert service.metrics.outcomes[route, int(status[:3])] == 3
