"""Connections -> predictions without ASGI: a hot request is decoded, submitted and answered on its own connection.

A complete ``POST`` to a loaded model's predict route needs no task, no event and no scope: its row goes to the
coalescer, and the flush writes each answer straight to its transport. So coalescing covers the whole answer path, not
only the model's run. Whatever is not surely such a request (another path, a query, ``Expect``, a large body or one of
no declared length, one behind another unanswered one, a transport that is not being read) falls through to the ASGI
application unchanged, and is answered there with the same codec, coalescer and metrics.

A client sends the same head again and again; one that came before, byte for byte, is not parsed again (`heads`), which
is a third of what a request would cost.

What it leans on in uvicorn, beside what `guard` does: the attributes ``flow.write_paused``, ``pipeline``,
``scope``, ``expect_100_continue`` and ``timeout_keep_alive``; that a ``cycle`` needs
``response_complete``, ``response_started``, ``disconnected``, ``keep_alive`` and ``message_event``; and
``on_response_complete``.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import attrs
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.api.service import Desk
from server.coalescing.pending import Pending
from server.contract.signature import Answer, Label, Row
from server.errors import CorollaError
from server.telemetry.access_log import log_request
from server.wire.head_cache import ENDING, Heads
from server.wire.headers import read_headers
from server.wire.limits import Guard
from server.wire.offload import INLINE_BODY_BYTES
from server.wire.replies import Reply, render

HOT_ROUTES = "hot_routes"
"""Where the lifespan's state has the hot routes."""
_AT_START = frozenset({"request", "nothing"})
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class HotRoute:
    """A predict route, with all that does not change from one request to the next."""

    def __init__(self, desk: Desk, *, access_log: bool) -> None:
        """Notes what does not change.

        Args:
            desk: The model's.
            access_log: Whether each request is logged.
        """
        self.desk = desk
        self.path = f"/{desk.name}/predict"
        self.access_log = access_log
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._responses: Mapping[Label, bytes] = {}

    def responses(self, default_headers: list[tuple[bytes, bytes]]) -> Mapping[Label, bytes]:
        """Gives the whole response by label, for a connection that is kept alive.

        Args:
            default_headers: uvicorn's own; it makes a new list each second, for the date.
        """
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._responses = {
                label: render(Reply(200, body), default_headers, keep_alive=True)
                for label, body in self.desk.codec.known_answers.items()
            }
        return self._responses


@attrs.frozen(eq=False)
class KnownHead:
    """A hot request's head that has been parsed before.

    Attributes:
        route: Where it leads.
        body_bytes: How long a body it declares.
        deadline_s: How long the request may take, where the client says so.
    """

    route: HotRoute
    body_bytes: int
    deadline_s: float | None


@attrs.frozen(eq=False)
class HotRoutes:
    """What all connections of a process know of the hot routes.

    Attributes:
        by_target: The routes, by request target.
        heads: The heads that lead there.
    """

    by_target: Mapping[bytes, HotRoute]
    heads: Heads[KnownHead] = attrs.field(factory=Heads)


class Ticket:
    """Stands in for uvicorn's cycle while a hot request is unanswered, so that what comes behind it is queued."""

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


class Lane(Guard):
    """One connection, with the short way for hot requests."""

    __slots__ = (
        "_answering",
        "_body",
        "_deadline_s",
        "_fault",
        "_heads",
        "_pending",
        "_reading",
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
        hot_routes: HotRoutes = app_state[HOT_ROUTES]
        self._routes = hot_routes.by_target
        self._heads = hot_routes.heads
        self._ticket = Ticket()
        self._whole = b""
        self._reading: HotRoute | None = None
        self._answering: HotRoute
        self._body = bytearray()
        self._deadline_s: float | None = None
        self._fault: CorollaError | None = None
        self._pending: Pending[Row, Answer] | None = None
        self._start_s = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes back a request that nobody waits for any more."""
        if self._pending is not None:
            self._answering.desk.coalescer.cancel(self._pending)
            self._pending = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes up a request that comes whole and behind a known head as it is; the parser is asked otherwise."""
        if not self._is_at_start():
            super().data_received(data)
            return
        head_bytes = data.find(ENDING) + len(ENDING)
        known = self._heads.meanings.get(data[:head_bytes])
        if known is None or head_bytes + known.body_bytes != len(data):
            self._whole = data
            super().data_received(data)
            self._whole = b""
            return
        self._awaits = "nothing"
        self._deadline_s = known.deadline_s
        self._submit(known.route, data[head_bytes:])

    def begin_head(self) -> None:
        """Notes a new request; its scope is made only where it falls through."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def begin_request(self) -> None:
        """Chooses the way of a request whose headers are complete."""
        route = self._routes.get(self.url)
        if route is None or not self._is_sure():
            self._reading = None
            self._fall_through()
            return
        self._reading = route
        self._ticket.response_complete = False
        self.cycle = self._ticket  # type: ignore[assignment]  # it has what the base class asks of a cycle
        self._ticket.keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        self._fault = self._deadline_s = None
        try:
            self._deadline_s = read_headers(tuple(self.headers)).deadline_s
        except CorollaError as error:
            self._fault = error

    def take_body(self, body: bytes) -> None:
        """Keeps a part of a hot request's body."""
        if self._reading is None:
            super().take_body(body)
        else:
            self._body += body

    def end_request(self) -> None:
        """Decodes and submits a hot request."""
        if self._reading is None:
            super().end_request()
            return
        route, body = self._reading, bytes(self._body)
        self._reading = None
        self._body.clear()
        if self._fault is not None:
            self._answering = route
            self._start_s = time.perf_counter()
            self._reply(route.desk.refuse(self._fault))
            return
        if self._ticket.keep_alive:
            known = KnownHead(route, self._declared_bytes, self._deadline_s)
            self._heads.learn(self._whole, known.body_bytes, known)
        self._submit(route, body)

    def _submit(self, route: HotRoute, body: bytes) -> None:
        """Hands a hot request in; what comes next on this connection waits until it is answered."""
        self._answering = route
        self._ticket.response_complete = False
        self.cycle = self._ticket  # type: ignore[assignment]  # as in begin_request
        self._start_s = time.perf_counter()
        try:
            desk, metrics = route.desk, route.desk.metrics
            row = desk.codec.decode_row(body)
            metrics.parse_s += time.perf_counter() - self._start_s
            metrics.parsed += 1
            self._pending = desk.coalescer.submit((row,), self._settle, self._deadline_s)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
            self._reply(route.desk.refuse(error))

    def _is_at_start(self) -> bool:
        """Says whether the next byte is the first of a request, and all before it is answered."""
        return (
            self._awaits in _AT_START
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._stopping
            and not self._behind
        )

    def _is_sure(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and self.is_idle()
            and not self.pipeline
            and not self.expect_100_continue
            and 0 < self._declared_bytes <= INLINE_BODY_BYTES
            and not self.flow.write_paused
            and all(_PLAIN_HOST.fullmatch(value) for name, value in self.headers if name == b"host")
        )

    def _fall_through(self) -> None:
        """Gives the request to uvicorn's own way, as if it had had it from the first byte."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers
        super().begin_request()

    def _settle(self, outcome: list[Answer] | CorollaError) -> None:
        """Writes the answer of the one row; called by the flush."""
        self._pending = None
        route = self._answering
        if isinstance(outcome, CorollaError):
            self._reply(route.desk.refuse(outcome))
            return
        codec, label = route.desk.codec, outcome[0].label
        if self._ticket.keep_alive and codec.known_answers:
            self.transport.write(route.responses(self.server_state.default_headers)[label])
            self._finish(200, len(codec.known_answers[label]))
        else:
            self._reply(Reply(200, codec.encode_answer(outcome[0], probabilities=False)))

    def _reply(self, reply: Reply) -> None:
        self.transport.write(render(reply, self.server_state.default_headers, keep_alive=self._ticket.keep_alive))
        self._finish(reply.status, len(reply.body))

    def _finish(self, status: int, size_bytes: int) -> None:
        """Sees to the connection once its hot request is answered."""
        route = self._answering
        route.desk.metrics.outcomes["predict", status] += 1
        if route.access_log:
            log_request("POST", route.path, status, size_bytes, time.perf_counter() - self._start_s)
        self._ticket.response_complete = True
        if not self._ticket.keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        elif self._awaits == "nothing":
            self._await("request", self.timeout_keep_alive)
