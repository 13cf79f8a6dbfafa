"""The fast path: a connection that decodes, submits and answers requests itself, without ASGI.

A complete ``POST`` to an endpoint of the route table needs no task, no event and no scope. Its rows go to the
coalescer, and the flush writes each answer straight to its transport. So coalescing covers the whole way of an answer,
not only the model's run. These requests fall through to the ASGI application, which answers them by the same endpoint:

- any other path or method, ``Expect``, headers or a query that the endpoint refuses;
- a large body, or one of no declared length;
- one behind another unanswered request, or on a transport that the client does not read.

A client sends the same head again and again. One that is cached (`head_cache`) is not parsed again, which is a third of
what a request would cost.

What it uses of uvicorn, beside what `limits` does: the attributes ``flow.write_paused``, ``pipeline``, ``scope``,
``expect_100_continue`` and ``timeout_keep_alive``; that a ``cycle`` needs
``response_complete``, ``response_started``, ``disconnected``, ``keep_alive`` and ``message_event``; and
``on_response_complete``.
"""

import asyncio
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.api.endpoint import Encode, Intake, KnownHead, RouteTable
from server.coalescing.pending import Pending
from server.contract.signature import Answer, Row
from server.errors import CorollaError
from server.telemetry.access_log import log_request
from server.wire.head_cache import ENDING, HeadCache
from server.wire.headers import select
from server.wire.limits import LimitedProtocol
from server.wire.offload import INLINE_BODY_BYTES
from server.wire.replies import Reply, render

ROUTES = "routes"
"""Where the lifespan's state has the route table."""
_AT_START = frozenset({"request", "answering", "idle"})


class Ticket:
    """Stands in for uvicorn's cycle while a request is answered here, so that the next one is queued behind it."""

    __slots__ = (
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    )

    def __init__(self) -> None:
        self.response_complete = True
        self.response_started = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()
        self.waiting_for_100_continue = False


class Lane(LimitedProtocol):
    """One connection with the fast path."""

    __slots__ = (
        "_body",
        "_encode",
        "_heads",
        "_intake",
        "_is_hot",
        "_pending",
        "_routes",
        "_start_s",
        "_ticket",
        "_whole",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._routes: RouteTable = app_state[ROUTES]
        self._ticket = Ticket()
        self._whole = b""
        self._is_hot = False
        self._body = bytearray()
        # Of the request that is being answered: who took it answers it, whatever the table says by then.
        self._intake: Intake
        self._heads: HeadCache[KnownHead]
        self._encode: Encode
        self._pending: Pending[Row, Answer] | None = None
        self._start_s = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel a request that nobody waits for any more."""
        if self._pending is not None:
            self._intake.service.coalescer.cancel(self._pending)
            self._pending = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Submit a whole request behind a cached head; give anything else to the parser."""
        if not self._is_at_start():
            super().data_received(data)
            return
        head_bytes = data.find(ENDING) + len(ENDING)
        head, heads = data[:head_bytes], self._routes.heads
        known = heads.meanings.get(head)
        if known is None and data.startswith(b"POST "):
            known = heads.get(head)
        if known is None or head_bytes + known.body_bytes != len(data):
            self._whole = data
            super().data_received(data)
            self._whole = b""
            return
        self._state = "answering"
        self._submit(known.intake, data[head_bytes:])

    def begin_head(self) -> None:
        """Begin a request; its ASGI scope is made only if it falls through."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def begin_request(self) -> None:
        """Choose the path of a request whose headers are complete."""
        intake = self._accept()
        if intake is None:
            self._is_hot = False
            self._fall_through()
            return
        self._intake, self._is_hot = intake, True
        self._ticket.response_complete = False
        self.cycle = self._ticket  # type: ignore[assignment]  # it has what the base class asks of a cycle
        self._ticket.keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"

    def _accept(self) -> Intake | None:
        """Read the head if an endpoint accepts it; the ASGI application replies to those that none accepts."""
        path, _, query = self.url.partition(b"?")
        # Together: a head of one table must not come into the cache of the next.
        self._heads, endpoint = self._routes.heads, self._routes.endpoints.get(path)
        if endpoint is None or not self._is_plain():
            return None
        try:
            return endpoint.accept(query, select(self.headers))
        except CorollaError:
            return None

    def take_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._is_hot:
            self._body += body
        else:
            super().take_body(body)

    def end_request(self) -> None:
        """Submit a request whose body is complete."""
        if not self._is_hot:
            super().end_request()
            return
        self._is_hot = False
        body = bytes(self._body)
        self._body.clear()
        if self._ticket.keep_alive:
            self._heads.put(self._whole, self._declared_bytes, KnownHead(self._intake, self._declared_bytes))
        self._submit(self._intake, body)

    def _submit(self, intake: Intake, body: bytes) -> None:
        """Decode and submit a request; the next one on this connection waits until it is answered."""
        self._intake = intake
        self._ticket.response_complete = False
        self.cycle = self._ticket  # type: ignore[assignment]  # as in begin_request
        self._start_s = time.perf_counter()
        service = intake.service
        try:
            # As `Intake.read`, without a call that nobody keeps: it would cost a twentieth of all this.
            rows, self._encode = intake.decode(body)
            metrics = service.metrics
            metrics.parse_s += time.perf_counter() - self._start_s
            metrics.parsed += 1
            self._pending = service.coalescer.submit(rows, self._settle, self.loop.time() + intake.timeout_s)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
            self._reply(service.refuse(error))

    def _is_at_start(self) -> bool:
        """Return whether the next byte begins a request, and all requests before it are answered."""
        return (
            self._state in _AT_START
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._stopping
            and not self._behind
        )

    def _is_plain(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and self.is_idle()
            and not self.pipeline
            and not self.expect_100_continue
            and 0 < self._declared_bytes <= INLINE_BODY_BYTES
            and not self.flow.write_paused
        )

    def _fall_through(self) -> None:
        """Give the request to uvicorn's own path, as if that had had it from the first byte."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers
        super().begin_request()

    def _settle(self, outcome: list[Answer] | CorollaError) -> None:
        """Write the answer; the coalescer's flush calls this."""
        self._pending = None
        intake = self._intake
        service = intake.service
        if isinstance(outcome, CorollaError):
            self._reply(service.refuse(outcome))
            return
        if intake.is_prepared and self._ticket.keep_alive:
            label = outcome[0].label
            response = service.prepared.render(self.server_state.default_headers).get(label)
            if response is not None:
                self.transport.write(response)
                self._finish(200, service.prepared.bodies[label])
                return
        try:
            reply = Reply(200, self._encode(outcome))
        except Exception as error:  # noqa: BLE001  as in _submit
            reply = service.refuse(error)
        self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        self.transport.write(render(reply, self.server_state.default_headers, keep_alive=self._ticket.keep_alive))
        self._finish(reply.status, reply.body)

    def _finish(self, status: int, body: bytes) -> None:
        """Count the answered request, and go on with the connection."""
        intake = self._intake
        intake.service.metrics.outcomes[intake.route, status] += 1
        if self._routes.access_log:
            log_request("POST", intake.endpoint.path, status, len(body), time.perf_counter() - self._start_s)
        self._ticket.response_complete = True
        if not self._ticket.keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        elif self._state == "answering":
            self._enter("idle", self.timeout_keep_alive)
