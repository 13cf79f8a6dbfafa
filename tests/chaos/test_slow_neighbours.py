"""While a slow model runs, and while large requests wait for it, everybody else has their turn."""

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.chaos.clients import (
    BOUND_S,
    PATIENT,
    Reply,
    ask,
    ask_all,
    encode,
    labels_of,
    post,
    post_rows,
    until,
)
from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving, wait_for
from tests.support.slow_model import publish_slow_model
from tests.support.workshop import IRIS_ROW, Workshop

HEALTHZ = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def slow_pair(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for name in ("slow", "other"):
        publish_slow_model(folder, iris_workshop.manifest(), name)
    return folder


async def count_probes_and_batches(server: ServerProcess, clients: int) -> tuple[int, float]:
    """Asks for the server's health again and again while full batches run without a pause, and counts both."""
    stopping, resting = asyncio.Event(), asyncio.Event()
    request = post("/slow/predict", encode(IRIS_ROW))

    async def wait_for_batches(least: float) -> float:
        return float(
            await asyncio.to_thread(
                wait_for, "batches", lambda: (count := server.metric("corolla_batches_total")) >= least and count
            )
        )

    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(ask(server.port, until(stopping, itertools.repeat(request)))) for _ in range(clients)]
        before = await wait_for_batches(2)
        probes = tasks.create_task(ask(server.port, until(resting, itertools.repeat(HEALTHZ))))
        after = await wait_for_batches(before + 10)
        resting.set()
        await probes
        stopping.set()
    assert {status for task in load for status, _ in task.result()} == {200}
    assert {status for status, _ in probes.result()} == {200}
    return len(probes.result()), after - before


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_the_loop_goes_on_while_a_batch_runs(slow_pair: Path, way: tuple[str, ...]) -> None:
    """A batch costs tens of milliseconds; were the loop to run it, one probe would be answered for each at most."""
    flags = ("--coalescing", "worker", "--max-batch-rows", "64")
    with serving(slow_pair, *PATIENT, *flags, *way) as server:
        probes, batches = asyncio.run(count_probes_and_batches(server, clients=4 * 64))
        assert server.metric("corolla_rows_total") / server.metric("corolla_batches_total") > 32
    assert probes > 4 * batches


FLOOD_ROWS = 1_000
SINGLES = 20


async def ask_singles_beside_a_flood(server: ServerProcess, row: bytes) -> tuple[list[Reply], bool, list[list[Reply]]]:
    """Gives the replies to singles, whether any of the flood's bodies was answered by then, and those replies."""
    body = post_rows("slow", [row] * FLOOD_ROWS)
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as tasks:
        flood = [tasks.create_task(ask(server.port, [body])) for _ in range(3)]
        await asyncio.to_thread(
            wait_for, "flood", lambda: server.metric("corolla_queue_rows") > 2 * FLOOD_ROWS, timeout_s=5
        )
        models = ("slow", "other")
        singles = await asyncio.gather(*(ask(server.port, [post_rows(name, [row])] * SINGLES) for name in models))
        was_answered = any(task.done() for task in flood)
    return [reply for replies in singles for reply in replies], was_answered, [task.result() for task in flood]


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_large_requests_starve_neither_small_ones_nor_another_model(slow_pair: Path, way: tuple[str, ...]) -> None:
    row = encode(IRIS_ROW)
    flags = ("--coalescing", "worker", "--max-batch-rows", "16")
    with serving(slow_pair, *PATIENT, *flags, *way) as server:
        (label,) = labels_of(ask_all(server, [post_rows("slow", [row])], clients=1)[0])
        singles, was_answered, flood = asyncio.run(ask_singles_beside_a_flood(server, row))
    assert not was_answered
    assert [labels_of(reply) for reply in singles] == [[label]] * 2 * SINGLES
    assert [[labels_of(reply) for reply in replies] for replies in flood] == [[[label] * FLOOD_ROWS]] * 3
