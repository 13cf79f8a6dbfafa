"""Connections -> requests that come whole, small enough and in time: what uvicorn's protocol does not see to itself.

It judges what `feeder` has had parsed, for every route: a deadline for the headers and one for the body, a cap on the
bytes of each, and Corolla's own body for a request that is no HTTP. One timer a process sweeps all connections.

What the two lean on in uvicorn (0.54), beside `asyncio.Protocol`'s own methods: the constructor's arguments;
``on_message_begin``, ``on_url``, ``on_header``, ``on_headers_complete``, ``on_body``, ``on_message_complete``,
``on_response_complete``; ``send_400_response``, ``_unset_keepalive_if_required``; the attributes ``parser``,
``transport``, ``cycle``, ``pipeline``, ``flow``, ``headers``, ``url``, ``timeout_keep_alive`` and
``server_state.default_headers``; that a ``cycle`` writes to its ``transport``, and has ``waiting_for_100_continue``;
``FlowControl.resume_reading``.
`tests/server/wire/test_uvicorn.py` fails in plain words when these move.
"""

import asyncio
import select
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
from server.wire.connections import Watch
from server.wire.cork import Cork
from server.wire.feeder import Feeder
from server.wire.replies import refusal_reason, render, reply_to

WATCH = "watch"
"""Where the lifespan's state has the process's watch."""
SMALL_BODY_BYTES = 65_536
"""A body of no more than this is read whatever else is: nobody's large ones may keep it out."""
LINGER_S = 2.0
"""How long what a refused client still sends is read and thrown away, so that it can read the refusal."""
STOP_S = 0.1
"""How long a request that was sent before the server began to stop may be on its way."""


class Guard(Feeder):
    """One connection."""

    __slots__ = (
        "_ahead",
        "_awaits",
        "_begun",
        "_body_bytes",
        "_cork",
        "_declared_bytes",
        "_due_s",
        "_head_bytes",
        "_limits",
        "_stopping",
        "_unread_s",
        "_upgrading",
        "_watch",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch: Watch = app_state[WATCH]
        self._limits = self._watch.limits
        self._max_unseen_bytes = self._limits.max_header_bytes
        self._awaits: Literal["request", "headers", "body", "nothing", "end"] = "request"
        self._due_s = 0.0
        self._head_bytes = 0
        self._declared_bytes = 0
        self._cork: Cork
        self._body_bytes = 0
        self._upgrading = False
        self._ahead = self.cycle
        self._begun = False
        self._stopping = False
        self._unread_s: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begins to wait for a first request."""
        super().connection_made(transport)
        self._cork = Cork(transport, self.loop)
        self._watch.connections.add(self)
        self._await("request", self._limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._watch.connections.discard(self)
        self._let_go()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begins with the next request, where one has come."""
        self._cork.release()  # an answer without a body is one write
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the registry's sweep closes idle connections, not a timer for each
        self.feed_on()
        self._await_next_request()

    def begin_slice(self) -> None:
        """Begins to wait for a request as soon as anything comes, or a blank line would end the wait for one."""
        if self._awaits == "nothing" and self.is_idle():
            self._await("request", self._limits.header_s)

    def refuse_head(self) -> None:
        """Refuses headers that are too long, or do not end."""
        limit = self._limits.max_header_bytes
        self._refuse(HeadersTooLargeError(f"expected headers of at most {limit} bytes, got more"))

    def on_message_begin(self) -> None:
        """Begins to wait for the end of a request's headers."""
        self._head_bytes = self._declared_bytes = 0
        self._await("headers", self._limits.header_s)
        self.begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Notes a header, as uvicorn does, and what its limits need of it; one behind a chunked body means nothing."""
        name = name.lower()
        self._head_bytes += len(name) + len(value)
        if self._awaits != "headers":
            return
        if name == b"content-length":
            self._declared_bytes = int(value)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begins to wait for the end of the body, where the headers are within their limits."""
        self._upgrading = self.parser.should_upgrade()
        if self._refused or self._upgrading:
            return
        self._await("body", self._limits.body_s)
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
        """Passes a part of the body on, where it is within the limit."""
        if self._refused:
            return
        self._progressed = True
        size_bytes = len(body)
        self._body_bytes += size_bytes
        self._rest_bytes -= size_bytes
        self._watch.held_bytes += size_bytes
        if self._body_bytes > self._limits.max_body_bytes:
            self._refuse(self._too_large(self._body_bytes))
        elif self._body_bytes > SMALL_BODY_BYTES and self._watch.held_bytes > self._limits.max_held_bytes:
            self._refuse(OverloadedError("too many large bodies are being sent at once", "memory", 1.0))
        else:
            self.take_body(body)

    def on_message_complete(self) -> None:
        """Ends a request; the answer has no deadline here."""
        self._progressed = True
        if not self._refused and not self._upgrading:
            self._awaits = "nothing"
            self._begun = False
            self._let_go()
            self.end_request()
            self._await_next_request()  # it may have been answered before its body had come

    def begin_head(self) -> None:
        """Takes up the first byte of a request."""
        super().on_message_begin()

    def begin_request(self) -> None:
        """Takes up a request whose headers are complete."""
        super().on_headers_complete()
        self.cycle.transport = self._cork  # type: ignore[assignment]  # it has what a cycle asks of a transport

    def take_body(self, body: bytes) -> None:
        """Takes up a part of a request's body."""
        super().on_body(body)

    def end_request(self) -> None:
        """Takes up the end of a request."""
        super().on_message_complete()

    def shutdown(self) -> None:
        """Ends after what has been asked; an idle client's request may be on its way, and is waited for a moment."""
        self._stopping = True
        if self.is_idle():
            self.loop.call_later(STOP_S, self._close_if_idle)
        else:
            super().shutdown()

    def is_idle(self) -> bool:
        """Says whether nothing that was asked is unanswered."""
        return self.cycle is None or self.cycle.response_complete

    def check(self, now_s: float) -> None:
        """Closes a connection whose client has taken too long."""
        if self._is_unread(now_s):
            self.transport.abort()
            return
        if self._awaits == "nothing" or now_s < self._due_s:
            return
        if self._refused:
            self.transport.close()  # the client has had time to read what was said last
            return
        if self._awaits == "request":
            self.close_idle()
            return
        limit_s = self._limits.header_s if self._awaits == "headers" else self._limits.body_s
        self._refuse(RequestTimeoutError(f"the {self._awaits} took longer than {limit_s:g} s"))

    def idle_until_s(self) -> float | None:
        """Return when this connection is to be closed if it is kept open between requests, on the loop's clock."""
        return self._due_s if self._awaits == "request" and self.cycle is not None else None

    def close_idle(self) -> None:
        """Close a connection on which nothing is asked, in a way that the client can tell (RFC 9112, 9.6).

        A request that has come is answered first, even if it is still in the kernel's buffer. One that comes later is
        not begun with: it meets the end of the stream, and no reset, since what is sent is read for a while.
        """
        if not (self.transport.is_closing() or self._has_unread()):
            self._refused = True
            self._await("end", LINGER_S)
            self.transport.write_eof()

    def _has_unread(self) -> bool:
        """Return whether the kernel has bytes of this connection, or its end, which the loop has not read yet."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _is_unread(self, now_s: float) -> bool:
        """Says whether the client has read nothing of its answers for too long."""
        if not self.flow.write_paused:
            self._unread_s = None
        elif self._unread_s is None:
            self._unread_s = now_s
        return self._unread_s is not None and now_s > self._unread_s + self._limits.body_s

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, in Corolla's own way."""
        self._refuse(MalformedRequestError(f"the request is not valid HTTP: {msg}"))

    def _await_next_request(self) -> None:
        """Keep the connection open for its next request, if all that came has been answered."""
        if self._awaits == "nothing" and self.is_idle():
            self._await("request", self.timeout_keep_alive)

    def _await(self, what: Literal["request", "headers", "body", "end"], limit_s: float) -> None:
        self._awaits = what
        self._due_s = self._watch.now_s + limit_s

    def _let_go(self) -> None:
        """Counts this connection's body no more: it has been taken up, or is of no use."""
        self._watch.held_bytes -= self._body_bytes
        self._body_bytes = 0

    def _close_if_idle(self) -> None:
        if self._awaits == "request" and not self._has_unread():
            self.transport.close()

    def _too_large(self, size_bytes: int) -> CorollaError:
        limit = self._limits.max_body_bytes
        return BodyTooLargeError(f"expected a body of at most {limit} bytes, got {size_bytes} or more")

    def _refuse(self, error: CorollaError) -> None:
        """Answers, and closes once the client has had time to read it; nothing more of what it sends is looked at.

        Where earlier requests are unanswered, the refusal would be taken for the answer to the first of them: they are
        answered, and the connection is closed without it. The same where an answer to this very request has begun.
        """
        if self._refused or self.transport.is_closing():
            return
        reply = reply_to(error)
        self._watch.refusals[reply.status, refusal_reason(error)] += 1
        self._refused = True
        self._let_go()
        self.flow.resume_reading()
        if self._begun and self.cycle.response_started:
            self.transport.close()
        elif self.pipeline and self._begun:
            self.pipeline.popleft()  # the refused request itself, the last that was queued
            self._ahead.keep_alive = False
            self._await("end", self._limits.body_s)
        elif not (self._begun or self.is_idle()):
            self.cycle.keep_alive = False
            self._await("end", self._limits.body_s)
        else:
            self._abandon()
            self._await("end", LINGER_S)
            self._cork.release()
            self.transport.write(render(reply, self.server_state.default_headers, keep_alive=False))
            self.transport.write_eof()

    def _abandon(self) -> None:
        """Tells the application, where it has begun with the refused request, that its client is gone."""
        if self._begun:
            self.cycle.waiting_for_100_continue = False
            self.cycle.disconnected = True
            self.cycle.message_event.set()
