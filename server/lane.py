"""Connections -> predictions without ASGI: a hot request is decoded, submitted and answered on its own connection.

A complete ``POST`` to a loaded model's predict route needs no task, no event and no scope: its row goes to the
coalescer, and the flush writes each answer straight to its transport. So coalescing covers the whole answer path, not
only the model's run. Whatever is not surely such a request (another path, a query, ``Expect``, one behind another
unanswered one, a transport that is not being read) falls through to the ASGI application unchanged, and is answered
there with the same codec, coalescer and metrics.

What it leans on in uvicorn, beside what `guard` does: the attributes ``flow.write_paused``, ``pipeline``,
``scope``, ``expect_100_continue`` and ``timeout_keep_alive``; that a ``cycle`` needs ``response_complete``,
``response_started``, ``disconnected``, ``keep_alive`` and ``message_event``; and ``on_response_complete``.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.access_log import log_request
from server.desk import Desk
from server.errors import CorollaError
from server.guard import Guard
from server.headers import read_headers
from server.pending import Pending
from server.replies import Reply, render
from server.signature import Answer, Label, Row

HOT_ROUTES = "hot_routes"
"""Where the lifespan's state has the hot routes, by request target."""
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class HotRoute:
    """A predict route, with all that does not change from one request to the next."""

    def __init__(self, desk: Desk, *, access_log: bool) -> None:
        """Renders the answers of every label.

        Args:
            desk: The model's.
            access_log: Whether each request is logged.
        """
        self.desk = desk
        self.path = f"/{desk.name}/predict"
        self.access_log = access_log
        self.tails: dict[Label, bytes] = {
            label: b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            for label, body in desk.codec.known_answers.items()
        }


class Ticket:
    """Stands in for uvicorn's cycle while a hot request is unanswered, so that what comes behind it is queued."""

    def __init__(self) -> None:
        self.response_complete = True
        self.response_started = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


class Lane(Guard):
    """One connection, with the short way for hot requests."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._hot_routes: Mapping[bytes, HotRoute] = app_state[HOT_ROUTES]
        self._ticket = Ticket()
        self._reading: HotRoute | None = None
        self._answering: HotRoute
        self._parts: list[bytes] = []
        self._read_headers: list[tuple[bytes, bytes]] | None = None
        self._plain_host = False
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

    def begin_head(self) -> None:
        """Notes a new request; its scope is made only where it falls through."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def begin_request(self) -> None:
        """Chooses the way of a request whose headers are complete."""
        route = self._hot_routes.get(self.url)
        if route is None or not self._is_sure():
            self._reading = None
            self._fall_through()
            return
        self._reading = route
        self._parts = []
        self._ticket.response_complete = False
        self._ticket.keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        self.cycle = self._ticket  # type: ignore[assignment]  # it has what the base class asks of a cycle

    def take_body(self, body: bytes) -> None:
        """Keeps a part of a hot request's body."""
        if self._reading is None:
            super().take_body(body)
        else:
            self._parts.append(body)

    def end_request(self) -> None:
        """Decodes and submits a hot request."""
        if self._reading is None:
            super().end_request()
            return
        route = self._answering = self._reading
        self._reading = None
        self._start_s = time.perf_counter()
        if self._fault is not None:
            self._reply(route.desk.refuse(self._fault))
            return
        try:
            desk = route.desk
            parts = self._parts
            row = desk.codec.decode_row(parts[0] if len(parts) == 1 else b"".join(parts))
            desk.metrics.parse_s += time.perf_counter() - self._start_s
            desk.metrics.parsed += 1
            self._pending = desk.coalescer.submit((row,), self._settle, self._deadline_s)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client is owed a reply
            self._reply(route.desk.refuse(error))

    def _is_sure(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and self.is_idle()
            and not self.pipeline
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self._has_plain_host()
        )

    def _has_plain_host(self) -> bool:
        """Reads the headers; a connection's are mostly the same from request to request, and then read once."""
        if self.headers != self._read_headers:
            self._read_headers = self.headers
            self._plain_host = all(_PLAIN_HOST.fullmatch(value) for name, value in self.headers if name == b"host")
            self._fault = None
            try:
                self._deadline_s = read_headers(self.headers)
            except CorollaError as error:
                self._fault = error
        return self._plain_host

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
        if isinstance(outcome, CorollaError):
            self._reply(self._answering.desk.refuse(outcome))
            return
        start_s = time.perf_counter()
        desk = self._answering.desk
        body = desk.codec.known_answers[outcome[0].label]
        if self._ticket.keep_alive:
            tail = self._answering.tails[outcome[0].label]
            self.transport.write(self._watch.head_of_200(self.server_state.default_headers) + tail)
        else:
            self.transport.write(render(Reply(200, body), self.server_state.default_headers, keep_alive=False))
        desk.metrics.encode_s += time.perf_counter() - start_s
        desk.metrics.encoded += 1
        self._finish(200, len(body))

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
