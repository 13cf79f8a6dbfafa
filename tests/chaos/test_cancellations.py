"""Clients that go away at any moment, or that give up waiting, cost the others nothing and leave nothing behind."""

import asyncio
import itertools
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import attrs
import numpy as np
import psutil
import pytest

from tests.chaos.clients import (
    BOUND_S,
    Reply,
    as_dicts,
    ask,
    ask_all,
    draw_rows,
    encode,
    post,
    post_rows,
    until,
)
from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving, wait_for
from tests.support.slow_model import publish_slow_model
from tests.support.workshop import Workshop

WITHIN_S = {"slow": 0.06, "iris": 0.004}
"""Within what time a client goes away, by model: some batches of the one, some answers of the other."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time at all."""


@pytest.fixture(scope="module")
def models_dir(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that runs on a worker, and one that the loop runs itself."""
    folder = tmp_path_factory.mktemp("cancellations")
    (folder / "iris").symlink_to(iris_workshop.models_dir / "iris")
    publish_slow_model(folder, iris_workshop.manifest())
    return folder


@pytest.fixture(scope="module")
def rows(iris_workshop: Workshop) -> Sequence[bytes]:
    drawn = draw_rows(iris_workshop.manifest().signature, 100, np.random.default_rng(5))
    return [encode(row) for row in as_dicts(drawn.columns, drawn.to_numpy())]


@attrs.frozen
class Leaving:
    """How a client goes away.

    Attributes:
        sent: What it sends.
        after_s: How long it stays.
        by_reset: Whether it resets the connection, or else closes it.
    """

    sent: bytes
    after_s: float
    by_reset: bool


class Leaver(asyncio.Protocol):
    """A connection that knows when it is lost."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()


async def leave(port: int, leaving: Leaving) -> None:
    loop = asyncio.get_running_loop()
    transport, leaver = await loop.create_connection(Leaver, "127.0.0.1", port)
    transport.write(leaving.sent)
    await asyncio.sleep(leaving.after_s)
    if leaving.by_reset:
        cast(socket.socket, transport.get_extra_info("socket")).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    else:
        transport.close()
    await leaver.ended.wait()


def draw_wave(rows: Sequence[bytes], clients: int, random: np.random.Generator) -> list[Leaving]:
    """Draws clients, half of them for each model, and every fifth with a part of its request only."""
    wave = []
    for number in range(clients):
        name = "slow" if number % 2 else "iris"
        request = post(f"/{name}/predict", rows[number % len(rows)])
        sent = request[: random.integers(1, len(request))] if number % 5 == 0 else request
        wave.append(Leaving(sent, random.uniform(0, WITHIN_S[name]), bool(random.integers(2))))
    return wave


async def ask_beside_waves(
    server: ServerProcess, waves: Sequence[Sequence[Leaving]], staying: Sequence[Sequence[bytes]]
) -> list[list[Reply]]:
    """Gives the replies to those who ask on and on while others come and go."""
    stopping = asyncio.Event()
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask(server.port, until(stopping, itertools.cycle(own)))) for own in staying]
        for wave in waves:
            await asyncio.gather(*(leave(server.port, leaving) for leaving in wave))
        stopping.set()
    return [task.result() for task in asked]


def at_rest(server: ServerProcess) -> int:
    """Gives how many descriptors the server has once nobody is connected any more."""
    process = psutil.Process(server.process.pid)
    wait_for(
        "an end of all connections",
        lambda: all(socket.status == psutil.CONN_LISTEN for socket in process.net_connections("tcp")),
        timeout_s=10,
    )
    return process.num_fds()


def status_of(reply: Reply | None) -> int:
    return reply[0] if reply else 0


def faults_told(server: ServerProcess) -> list[str]:
    return [line["message"] for line in server.log() if line["level"] != "info"]


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_thousands_who_go_away_at_any_moment_leave_nothing_behind(
    models_dir: Path, rows: Sequence[bytes], way: tuple[str, ...]
) -> None:
    random = np.random.default_rng(6)
    waves = [draw_wave(rows, 200, random) for _ in range(26)]
    whole = sum(leaving.sent.endswith(b"}") for wave in waves for leaving in wave)
    requests = [post(f"/{name}/predict", row) for name in WITHIN_S for row in rows]
    with serving(models_dir, "--max-batch-rows", "8", "--deadline-ms", "60000", *way) as server:
        told = {line["model"]: line["on_worker"] for line in server.log() if line["message"] == "coalescing"}
        assert told == {"iris": False, "slow": True}
        alone = ask_all(server, requests, clients=1)
        assert set(map(status_of, alone)) == {200}
        descriptors = at_rest(server)
        answered, ran = server.metric("corolla_requests_total"), server.metric("corolla_rows_total")
        replies = asyncio.run(ask_beside_waves(server, waves, [requests[first::8] for first in range(8)]))
        for first, own in enumerate(replies):
            assert own == list(itertools.islice(itertools.cycle(alone[first::8]), len(own)))
        wait_for("an empty queue", lambda: server.metric("corolla_queue_rows") == 0, timeout_s=10)
        assert at_rest(server) == descriptors
        stayed = sum(map(len, replies))
        answered, ran = server.metric("corolla_requests_total") - answered, server.metric("corolla_rows_total") - ran
        # Some went once they were answered, some while they ran, and some before.
        assert stayed < answered < ran < stayed + whole
        assert ask_all(server, requests) == alone
        assert faults_told(server) == []
        assert server.stop() == 0


def in_haste(requests: Sequence[bytes], milliseconds: int) -> list[bytes]:
    return [request.replace(b"\r\n", b"\r\ncorolla-deadline-ms: %d\r\n" % milliseconds, 1) for request in requests]


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_a_time_when_four_of_five_give_up_does_no_lasting_harm(
    models_dir: Path, rows: Sequence[bytes], way: tuple[str, ...]
) -> None:
    """Of ten who ask on and on eight are in haste, for one row or for several batches; beside them others go away."""
    random = np.random.default_rng(7)
    waves = [draw_wave(rows, 20, random) for _ in range(40)]
    singles = [post("/slow/predict", row) for row in rows]
    several = [post_rows("slow", rows[first : first + 40]) for first in range(len(rows) - 40)]
    hasty = [in_haste(several if number % 2 else singles, 1 + number % 5) for number in range(8)]
    patient = [singles[first::2] for first in range(2)]
    with serving(models_dir, "--max-batch-rows", "16", "--deadline-ms", "5000", *way) as server:
        alone = ask_all(server, singles, clients=1)
        assert set(map(status_of, alone)) == {200}
        replies = asyncio.run(ask_beside_waves(server, waves, [*hasty, *patient]))
        statuses = Counter(status for own in replies for status, _ in own)
        assert statuses[503] + statuses[504] >= 0.8 * statuses.total()
        assert statuses[504] > 0
        for first, own in enumerate(replies[len(hasty) :]):
            assert own
            assert own == list(itertools.islice(itertools.cycle(alone[first::2]), len(own)))
        assert ask_all(server, 2 * singles, clients=8) == 2 * alone
        assert server.metric("corolla_queue_rows") == 0
        assert faults_told(server) == []
        assert server.stop() == 0
