"""Clients that ask side by side over connections of their own, the requests that they send, and the replies."""

import asyncio
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
import pandas as pd

from server.contract.signature import Label, Signature
from tests.support.server_process import ServerProcess

CLIENTS = 64
BOUND_S = 60
PATIENT = ("--deadline-ms", "60000", "--max-queue-rows", "10000")
LENGTH = re.compile(rb"content-length: (\d+)")

Reply = tuple[int, bytes]
Row = Mapping[str, float | str]


class Client(asyncio.Protocol):
    """Asks one request after another over one connection, and keeps the replies; then it closes."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.replies: list[Reply] = []
        self.ended = asyncio.Event()
        self._requests = requests
        self._held = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask_next()

    def data_received(self, data: bytes) -> None:
        self._held += data
        if reply := read_reply(self._held):
            self._held = b""
            self.replies.append(reply)
            self._ask_next()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()

    def _ask_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)


def read_reply(data: bytes) -> Reply | None:
    """Gives the status and the body once they are whole; whatever came too much stays in the body, and is wrong."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    return (int(head[9:12]), body) if length and len(body) >= int(length[1]) else None


async def ask(port: int, requests: Iterable[bytes]) -> list[Reply]:
    """Asks over a connection of its own; where that is lost, there are fewer replies than requests."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(lambda: Client(iter(requests)), "127.0.0.1", port)
    try:
        await client.ended.wait()
    finally:
        transport.abort()
    return client.replies


async def ask_side_by_side(port: int, requests: Sequence[bytes], clients: int) -> list[Reply | None]:
    """Deals the requests out to a number of clients, and gives the replies in the order of the requests."""
    asked = (ask(port, requests[first::clients]) for first in range(clients))
    replies: list[Reply | None] = [None] * len(requests)
    async with asyncio.timeout(BOUND_S):
        for first, answered in enumerate(await asyncio.gather(*asked)):
            replies[first : first + clients * len(answered) : clients] = answered
    return replies


def ask_all(server: ServerProcess, requests: Sequence[bytes], clients: int = CLIENTS) -> list[Reply | None]:
    return asyncio.run(ask_side_by_side(server.port, requests, clients))


def post(path: str, body: bytes, *headers: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *headers]
    return "\r\n".join([*head, f"content-length: {len(body)}\r\n\r\n"]).encode() + body


def post_rows(model: str, rows: Sequence[bytes], query: str = "") -> bytes:
    """Asks about one row by itself, and about several together."""
    if len(rows) == 1:
        return post(f"/{model}/predict{query}", rows[0])
    return post(f"/{model}/predict/rows{query}", b"[" + b",".join(rows) + b"]")


def encode(row: Row) -> bytes:
    return msgspec.json.encode(row)


def draw_rows(signature: Signature, count: int, random: np.random.Generator) -> pd.DataFrame:
    """Draws rows within the range that was trained on, in ten-thousandths of a unit."""
    least = [feature.quantiles[0] for feature in signature.features]
    most = [feature.quantiles[-1] for feature in signature.features]
    drawn = random.uniform(least, most, (count, len(least))).round(4)
    return pd.DataFrame(drawn, columns=[feature.name for feature in signature.features])


def as_dicts(
    names: Iterable[str], values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
) -> list[dict[str, float]]:
    keys = list(names)
    return [dict(zip(keys, row, strict=True)) for row in values.tolist()]


def labels_of(reply: Reply | None) -> list[Label]:
    """Gives what an answer says of its rows; nothing where it is none."""
    if reply is None or reply[0] != 200:
        return []
    told = msgspec.json.decode(reply[1])
    return list(told["outputs"]) if "outputs" in told else [told["output"]]


def labels_or_status(reply: Reply | None) -> int | list[Label]:
    return labels_of(reply) or (reply[0] if reply else 0)


def until(stopping: asyncio.Event, requests: Iterable[bytes]) -> Iterator[bytes]:
    return itertools.takewhile(lambda _: not stopping.is_set(), requests)
