"""Incremental parsing with backpressure: feeds the bytes of a connection to uvicorn's parser, a slice at a time.

Nothing is fed while a request waits behind another one, and other connections have their turn after some slices.
`tests/server/wire/test_uvicorn.py` lists what this file uses of uvicorn (0.54).
"""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

SLICE_BYTES = 4096
"""How much is parsed at a time: a read of 256 KiB can hold more than ten thousand requests."""
SLICES_A_TURN = 8
"""How many slices are parsed before other connections have their turn."""
_UPGRADE_HEADERS = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Feeder(HttpToolsProtocol):
    """A connection that parses what comes as it can be used.

    Its own attributes are slots, quicker to reach than the many that uvicorn's protocol keeps in a dictionary. A
    subclass sets these of them:

    - ``_refused`` once nothing more is to be fed;
    - ``_rest_bytes`` to the length that is left of a body, which is fed in one piece;
    - ``_progressed`` when the parser has reported a part of a request;
    - ``_max_unseen_bytes`` to how much may be fed without that.
    """

    __slots__ = (
        "_behind",
        "_feeding",
        "_max_unseen_bytes",
        "_progressed",
        "_refused",
        "_rest_bytes",
        "_unseen_bytes",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._behind = b""
        self._feeding = False
        self._max_unseen_bytes: int
        self._progressed = False
        self._refused = False
        self._rest_bytes = 0
        self._unseen_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take up a connection."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what has not been fed, and what waits behind another request."""
        super().connection_lost(exc)
        self.pipeline.clear()
        self._behind = b""

    def data_received(self, data: bytes) -> None:
        """Read on, unless the client has been refused."""
        if not self._refused:
            self._behind += data
            self.feed_on()

    def begin_slice(self) -> None:
        """Called before a slice is fed."""

    def refuse_head(self) -> None:
        """Called when a client has sent more than ``_max_unseen_bytes`` without progress."""

    def begin_head(self) -> None:
        """Take up the first byte of a request."""
        super().on_message_begin()

    def begin_request(self) -> None:
        """Take up a request whose headers are complete."""
        super().on_headers_complete()

    def take_body(self, body: bytes) -> None:
        """Take up a part of a request's body."""
        super().on_body(body)

    def end_request(self) -> None:
        """Take up the end of a request."""
        super().on_message_complete()

    def feed_on(self) -> None:
        """Feed what has come, a slice or the rest of a body at a time, as long as no request waits behind another.

        A read of many small chunks takes a while to parse: after some slices others have their turn.
        """
        if self._feeding or not self._behind:
            return
        self._feeding = True
        data, start, slices = self._behind, 0, 0
        while start < len(data) and slices < SLICES_A_TURN and not self._is_stuck():
            end = start + max(SLICE_BYTES, self._rest_bytes)
            self._feed_slice(data[start:end])
            start, slices = end, slices + 1
        self._behind = b"" if self._refused or self.transport.is_closing() else data[start:]
        self._feeding = False
        if not self._behind:
            self.flow.resume_reading()
            return
        self.flow.pause_reading()
        if not self.pipeline:
            self.loop.call_soon(self.feed_on)

    def _is_stuck(self) -> bool:
        return bool(self.pipeline) or self._refused or self.transport.is_closing()

    def _feed_slice(self, data: bytes) -> None:
        """Feed the parser, and count what it keeps to itself: an unfinished header, or a trailer of a chunked body."""
        self.begin_slice()
        self._progressed = False
        self._feed(data)
        self._unseen_bytes = 0 if self._progressed else self._unseen_bytes + len(data)
        if self._unseen_bytes > self._max_unseen_bytes:
            self.refuse_head()

    def _feed(self, data: bytes) -> None:
        """Feed the parser as uvicorn does, except that an offer to upgrade the protocol is ignored."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read the request again without its offer, since the parser reads no body behind one (RFC 9110, 7.8)."""
        if self.parser.get_method() == b"CONNECT":
            self.send_400_response("CONNECT is not served")
            return
        kept = [(name, value) for name, value in self.headers if name not in _UPGRADE_HEADERS]
        head = b"%s %s HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self._feed(head + b"".join(b"%s: %s\r\n" % header for header in kept) + b"\r\n" + rest)


class _Flow(FlowControl):
    """uvicorn's flow control, which reads on whenever an application asks for more, but for what is still unparsed."""

    def __init__(self, transport: asyncio.Transport, feeder: Feeder) -> None:
        super().__init__(transport)
        self._feeder = feeder

    def resume_reading(self) -> None:
        if not self._feeder._behind:  # noqa: SLF001  it is the feeder's own part, and asked at each read
            super().resume_reading()
