"""HTTP requests as bytes, and connections that send and receive bytes."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.server_process import ServerProcess
from tests.support.workshop import IRIS_ROW

BODY = json.dumps(dict(IRIS_ROW)).encode()
ANSWER = b'{"output":"Iris-virginica","model_name":"log_reg_1"}'
WAIT_S = 20


def post(body: bytes = BODY, *headers: bytes, target: bytes = b"/iris/predict", version: bytes = b"1.1") -> bytes:
    lines = [b"POST " + target + b" HTTP/" + version, b"host: localhost", *headers]
    if not any(header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


class Wire:
    """A TCP connection that sends bytes and reads HTTP responses."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._unread = b""

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Read one response; return its status, headers and body."""
        while b"\r\n\r\n" not in self._unread:
            self._read()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers["content-length"]) if has_body else 0
        while len(self._unread) < length:
            self._read()
        body, self._unread = self._unread[:length], self._unread[length:]
        return int(status.split()[1]), headers, body

    def is_closed(self) -> bool:
        """Wait for the end of the stream; return False if data comes instead."""
        try:
            return self._unread == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _read(self) -> None:
        part = self.socket.recv(65_536)
        assert part, f"the connection ended after {self._unread!r}"
        self._unread += part


@contextmanager
def wire_to(server: ServerProcess) -> Iterator[Wire]:
    opened = Wire(server.port)
    try:
        yield opened
    finally:
        opened.socket.close()


FORGED = {
    "Content-Length with Transfer-Encoding": post(BODY, b"content-length: 5", b"transfer-encoding: chunked"),
    "two Content-Lengths": post(BODY, b"content-length: 5", b"content-length: 6"),
    "a signed Content-Length": post(BODY, b"content-length: +5"),
    "a space before the colon": post(BODY, b"x-a : 1"),
    "a bare LF after a header": post().replace(b"host: localhost\r\n", b"host: localhost\n"),
    "a folded header": post(BODY, b"x-a: 1\r\n 2"),
    "a NUL in a header": post(BODY, b"x-a: \x00"),
    "a chunk size that is none": post(b"x\r\n", b"transfer-encoding: chunked"),
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
    "an unknown method": b"BREW /iris/predict HTTP/1.1\r\n\r\n",
}


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))
