"""Bytes of a connection -> uvicorn's parser, a slice at a time; what comes out of it is for a subclass to judge.

No more is fed than there is to do: while a request waits behind another, nothing, and other connections have their turn
after some slices. It leans on uvicorn (0.54) as `guard` says, and knows nothing of limits but one that it is given.
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
    """One connection's way in.

    Its own attributes are slots, quicker to reach than the many that uvicorn's protocol keeps in a dictionary. Of these
    a subclass sets ``_refused`` once nothing more is to be fed, ``_rest_bytes`` to what a body is known to have left
    (it is fed in one piece), ``_progressed`` where bytes have come to something, and ``_max_unseen_bytes``.
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
        """Takes up a connection."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what has not been fed, and what waits behind another request."""
        super().connection_lost(exc)
        self.pipeline.clear()
        self._behind = b""

    def data_received(self, data: bytes) -> None:
        """Reads on, unless the client has been refused."""
        if not self._refused:
            self._behind += data
            self.feed_on()

    def begin_slice(self) -> None:
        """Does what is due before anything is fed; for a subclass to say."""

    def refuse_head(self) -> None:
        """Refuses a client who has sent more than ``_max_unseen_bytes`` that came to nothing; for a subclass to say."""

    def feed_on(self) -> None:
        """Feeds what has come, a slice or the rest of a body at a time, as long as no request waits behind another.

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
        """Feeds the parser, and counts what it keeps to itself: an unfinished header, or one behind a chunked body."""
        self.begin_slice()
        self._progressed = False
        self._feed(data)
        self._unseen_bytes = 0 if self._progressed else self._unseen_bytes + len(data)
        if self._unseen_bytes > self._max_unseen_bytes:
            self.refuse_head()

    def _feed(self, data: bytes) -> None:
        """Feeds the parser, as uvicorn does but for upgrades: there are none, and an offer of one is passed over."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Reads the request again without its offer, since the parser reads no body behind one (RFC 9110, 7.8)."""
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
