"""A transport that joins the head and the body of a response into one write (as TCP_CORK and node's `cork` do).

uvicorn writes a response's head and its body one after the other, and each is a system call: 8 of the 40 us that such
an answer takes.
"""

import asyncio


class Cork:
    """A transport that holds a write back until the next, or until the loop's next turn."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Hold the first of two writes back, and send it with the second; drop both if the client has gone."""
        if self._transport.is_closing():
            self._held = b""
        elif self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        else:
            self._held = data
            self._loop.call_soon(self.release)

    def close(self) -> None:
        """Close the connection once all has been sent."""
        self.release()
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def release(self) -> None:
        """Send what is held back; call it before anything else is written to the connection."""
        data, self._held = self._held, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)
