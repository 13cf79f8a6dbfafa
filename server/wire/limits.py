"""Limits of a connection that uvicorn lacks: deadlines for headers and body, their sizes, and the memory of all bodies.

They hold for every route, before a request reaches a model. One timer a process sweeps all connections. The states:

    state      what is due                       within            and then
    request    the first byte of a request       header_s          headers
    headers    the end of the headers            header_s          body
    body       the end of the body               body_s            answering
    answering  nothing: the server has to        -                 idle, or headers if the next request has come
    idle       nothing: kept open                keep_alive_s      request, with the first byte, or headers with it
    closing    the client reads what came last   linger or body_s  (closed)

A connection begins in ``request``. It closes without a reply from ``request`` and ``idle``, and by a refusal from
``headers`` and ``body``. A blank line is a byte and no request: it moves ``idle`` to ``request``, once.

`tests/server/wire/test_uvicorn.py` lists what this file and `feeder` use of uvicorn (0.54).
"""

import asyncio
from typing import Any, Literal

from uvicorn.config import Config
from uvicorn.server import ServerState

from server.errors import (
    BodyTooLargeError,
    CorollaError,
    HeadersTooLargeError,
    MalformedRequestError,
    OverloadedError,
    RequestTimeoutError,
)
from server.wire.connections import ConnectionRegistry, has_unread
from server.wire.cork import Cork
from server.wire.feeder import Feeder
from server.wire.replies import refusal_reason, render, reply_to

REGISTRY = "registry"
"""The key of the process's connection registry in the lifespan's state."""
SMALL_BODY_BYTES = 65_536
"""A body up to this size is always read: the large bodies of others may not keep it out."""
LINGER_S = 2.0
"""How long a closing connection reads and drops what still comes, so that the client can read what was sent last."""
STOP_S = 0.1
"""How long a request may be on its way that was sent before the server began to stop."""


State = Literal["request", "headers", "body", "answering", "idle", "closing"]


class LimitedProtocol(Feeder):
    """One connection, held to its limits."""

    __slots__ = (
        "_ahead",
        "_begun",
        "_body_bytes",
        "_cork",
        "_declared_bytes",
        "_due_s",
        "_head_bytes",
        "_limits",
        "_registry",
        "_state",
        "_stopping",
        "_unread_s",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._registry: ConnectionRegistry = app_state[REGISTRY]
        self._limits = self._registry.limits
        self._max_unseen_bytes = self._limits.max_header_bytes
        self._state: State = "request"
        self._due_s = 0.0
        self._head_bytes = 0
        self._declared_bytes = 0
        self._cork: Cork
        self._body_bytes = 0
        self._ahead = self.cycle
        self._begun = False
        self._stopping = False
        self._unread_s: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._cork = Cork(transport, self.loop)
        self._registry.connections.add(self)
        self._enter("request", self._limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._registry.connections.discard(self)
        self._let_go()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin with the next request if one has come."""
        self._cork.release()  # an answer without a body is one write
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the registry's sweep closes idle connections, not a timer for each
        self.feed_on()
        self._rest()

    def begin_slice(self) -> None:
        """Begin to wait for a request as soon as anything comes; blank lines do not prolong that."""
        if self._state == "idle":
            self._enter("request", self._limits.header_s)

    def refuse_head(self) -> None:
        """Refuse headers that are too long, or do not end."""
        self._refuse(HeadersTooLargeError(f"expected headers of at most {self._max_unseen_bytes} bytes, got more"))

    def on_message_begin(self) -> None:
        """Begin to wait for the end of a request's headers."""
        self._head_bytes = self._declared_bytes = 0
        self._enter("headers", self._limits.header_s)
        self.begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, as uvicorn does, and what its limits need of it; trailers of a chunked body are dropped."""
        name = name.lower()
        self._head_bytes += len(name) + len(value)
        if self._state != "headers":
            return
        if name == b"content-length":
            self._declared_bytes = int(value)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin to wait for the end of the body if the headers are within their limits."""
        if self._refused or self.parser.should_upgrade():
            return
        self._enter("body", self._limits.body_s)
        self._rest_bytes = self._declared_bytes
        if self._head_bytes + len(self.url) > self._limits.max_header_bytes:
            self.refuse_head()
        elif self._declared_bytes > self._limits.max_body_bytes:
            self._refuse(self._too_large(self._declared_bytes))
        else:
            self._ahead = self.cycle
            self.begin_request()
            self._begun = True
            if self._stopping:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body if it is within the limit."""
        if self._refused:
            return
        self._progressed = True
        size_bytes = len(body)
        self._body_bytes += size_bytes
        self._rest_bytes -= size_bytes
        self._registry.held_bytes += size_bytes
        if self._body_bytes > self._limits.max_body_bytes:
            self._refuse(self._too_large(self._body_bytes))
        elif self._body_bytes > SMALL_BODY_BYTES and self._registry.held_bytes > self._limits.max_held_bytes:
            self._refuse(OverloadedError("too many large bodies are being sent at once", "memory", 1.0))
        else:
            self.take_body(body)

    def on_message_complete(self) -> None:
        """End a request; its answer has no deadline here."""
        self._progressed = True
        if not (self._refused or self.parser.should_upgrade()):
            self._state = "answering"
            self._begun = False
            self._let_go()
            self.end_request()
            self._rest()  # it may have been answered before its body had come

    def begin_request(self) -> None:
        """Take up a request whose headers are complete."""
        super().begin_request()
        self.cycle.transport = self._cork  # type: ignore[assignment]  # it has what a cycle asks of a transport

    def shutdown(self) -> None:
        """Close once all that was asked is answered; the request of an idle client may be on its way for a moment."""
        self._stopping = True
        if self.is_idle():
            self.loop.call_later(STOP_S, self._close_if_idle)
        else:
            super().shutdown()

    def is_idle(self) -> bool:
        """Return whether all that was asked is answered."""
        return self.cycle is None or self.cycle.response_complete

    def check(self, now_s: float) -> None:
        """Close or refuse a connection whose client has taken too long."""
        if self._is_unread(now_s):
            self.transport.abort()
        elif self._state == "answering" or now_s < self._due_s:
            return
        elif self._state == "closing":
            self.transport.close()
        elif self._state in {"request", "idle"}:
            self.close_idle()
        else:
            limit_s = self._limits.header_s if self._state == "headers" else self._limits.body_s
            self._refuse(RequestTimeoutError(f"the {self._state} took longer than {limit_s:g} s"))

    def idle_until_s(self) -> float | None:
        """Return when this connection is to be closed if it is idle, on the loop's clock."""
        return self._due_s if self._state == "idle" else None

    def close_idle(self) -> None:
        """Close a connection on which nothing is asked, in a way that the client can tell (RFC 9112, 9.6).

        A request that has come is answered instead, even if the loop has not read it yet. One that comes later is not
        begun: the client finds the end of the stream, and no reset, since what it sends is read for a while.
        """
        if self._is_closable():
            self._refused = True
            self._enter("closing", LINGER_S)
            self.transport.write_eof()

    def _is_unread(self, now_s: float) -> bool:
        """Return whether the client has read nothing of its answers for too long."""
        if not self.flow.write_paused:
            self._unread_s = None
        elif self._unread_s is None:
            self._unread_s = now_s
        return self._unread_s is not None and now_s > self._unread_s + self._limits.body_s

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in place of uvicorn's own reply."""
        self._refuse(MalformedRequestError(f"the request is not valid HTTP: {msg}"))

    def _rest(self) -> None:
        """Keep the connection open for its next request if all that came is answered."""
        if self._state == "answering" and self.is_idle():
            self._enter("idle", self.timeout_keep_alive)

    def _enter(self, state: State, limit_s: float) -> None:
        self._state = state
        self._due_s = self._registry.now_s + limit_s

    def _let_go(self) -> None:
        """Take this connection's body off the memory budget: it was handed on or dropped."""
        self._registry.held_bytes -= self._body_bytes
        self._body_bytes = 0

    def _close_if_idle(self) -> None:
        """Close, unless a request has come; bytes that wait to be read are looked at again once they have been."""
        if self.transport.is_closing() or self._state not in {"request", "idle"}:
            return
        if has_unread(self.transport):
            self.loop.call_later(STOP_S, self._close_if_idle)
        else:
            self.transport.close()

    def _is_closable(self) -> bool:
        return self._state in {"request", "idle"} and not (self.transport.is_closing() or has_unread(self.transport))

    def _too_large(self, size_bytes: int) -> CorollaError:
        limit_bytes = self._limits.max_body_bytes
        return BodyTooLargeError(f"expected a body of at most {limit_bytes} bytes, got {size_bytes} or more")

    def _refuse(self, error: CorollaError) -> None:
        """Count and send a refusal, and close once the client has had time to read it; drop what else it sends.

        It is not sent if the answer to this request has begun, nor behind unanswered requests: it would be taken for
        the answer to the first of them. These are answered, and the connection is closed.
        """
        if self._refused or self.transport.is_closing():
            return
        reply = reply_to(error)
        self._registry.refusals[reply.status, refusal_reason(error)] += 1
        self._refused = True
        self._let_go()
        self.flow.resume_reading()
        if self._begun and self.cycle.response_started:
            self.transport.close()
        elif self.pipeline and self._begun:
            self.pipeline.popleft()  # the refused request itself, the last that was queued
            self._ahead.keep_alive = False
            self._enter("closing", self._limits.body_s)
        elif not (self._begun or self.is_idle()):
            self.cycle.keep_alive = False
            self._enter("closing", self._limits.body_s)
        else:
            self._abandon()
            self._enter("closing", LINGER_S)
            self._cork.release()
            self.transport.write(render(reply, self.server_state.default_headers, keep_alive=False))
            self.transport.write_eof()

    def _abandon(self) -> None:
        """Tell the application that the client is gone if it has begun with the refused request."""
        if self._begun:
            self.cycle.waiting_for_100_continue = False
            self.cycle.disconnected = True
            self.cycle.message_event.set()
