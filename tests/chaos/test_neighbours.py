"""Whatever is asked beside a request, right, wrong, huge or fatal, each request gets its own answer and in its turn."""

import asyncio
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import attrs
import msgspec
import numpy as np
import pandas as pd
import pytest

from server.signature import Label, Signature
from tests.conftest import IRIS_ROW, Workshop
from tests.marked_model import MARK, publish_marked_model
from tests.server_process import ServerProcess, serving, wait_for
from tests.slow_model import publish_slow_model
from training.artifacts import load_artifacts
from training.estimators import Estimator
from training.runlog import RunLog

CLIENTS = 64
ROWS = 100_000
MANY = (2, 100)
"""How many rows a request of several has, from and to."""
TOLERANCE = 1e-5
BOUND_S = 60
PATIENT = ("--deadline-ms", "60000", "--max-queue-rows", "10000")
BOTH_WAYS = pytest.mark.parametrize("way", [(), ("--no-lane",)], ids=["lane", "no-lane"])
LENGTH = re.compile(rb"content-length: (\d+)")
HEALTHZ = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

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


def share_out(rows: int, singles: int, random: np.random.Generator) -> list[int]:
    """Gives the sizes of requests that ask about so many rows, so many of them singly, in a random order."""
    sizes = [1] * singles
    left = rows - singles
    while left:
        sizes.append(min(left, int(random.integers(*MANY, endpoint=True))))
        left -= sizes[-1]
    random.shuffle(sizes)
    return sizes


@pytest.fixture(scope="module")
def signature(iris_workshop: Workshop) -> Signature:
    return iris_workshop.manifest().signature


@pytest.fixture(scope="module")
def estimator(iris_workshop: Workshop) -> Estimator:
    data_dir = iris_workshop.data_dir
    return load_artifacts(data_dir / "runs" / "1", RunLog(data_dir).find(1)).estimator


@attrs.frozen
class Known:
    """Rows, and what the estimator itself says of each."""

    rows: list[bytes]
    labels: list[Label]
    probabilities: list[dict[str, float]]


@pytest.fixture(scope="module")
def known(signature: Signature, estimator: Estimator) -> Known:
    """Unique rows; none for which two labels are as likely, so that the compiled model may well choose the other."""
    drawn = draw_rows(signature, ROWS + 1000, np.random.default_rng(1)).drop_duplicates()
    second, first = np.sort(estimator.predict_proba(drawn), axis=1)[:, -2:].T
    rows = drawn[first - second > TOLERANCE][:ROWS]
    assert len(rows) == ROWS
    labels = estimator.predict(rows).tolist()
    # Between neighbours that are all alike nothing could be seen to be swapped.
    assert sum(label != following for label, following in itertools.pairwise(labels)) > ROWS / 3
    return Known(
        rows=[encode(row) for row in as_dicts(rows.columns, rows.to_numpy())],
        labels=labels,
        probabilities=as_dicts(map(str, signature.labels), estimator.predict_proba(rows)),
    )


def as_dicts(
    names: Iterable[str], values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
) -> list[dict[str, float]]:
    keys = list(names)
    return [dict(zip(keys, row, strict=True)) for row in values.tolist()]


@attrs.frozen
class Question:
    """A request about some of the known rows; every fourth asks for the probabilities."""

    at: slice
    with_probabilities: bool

    def to_request(self, known: Known) -> bytes:
        return post_rows("iris", known.rows[self.at], "?probabilities=true" if self.with_probabilities else "")

    def is_answered_by(self, reply: Reply | None, known: Known) -> bool:
        if reply is None or reply[0] != 200:
            return False
        are_labels_right = labels_of(reply) == known.labels[self.at]
        if not self.with_probabilities:
            return are_labels_right
        told = msgspec.json.decode(reply[1])["probabilities"]
        return are_labels_right and are_close(told if isinstance(told, list) else [told], known.probabilities[self.at])


def are_close(found: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]) -> bool:
    return len(found) == len(expected) and all(
        a.keys() == b.keys() and all(abs(a[label] - b[label]) <= TOLERANCE for label in b)
        for a, b in zip(found, expected, strict=True)
    )


def questions_about(rows: int, singles: int) -> list[Question]:
    sizes = share_out(rows, singles, np.random.default_rng(2))
    ends = list(itertools.accumulate(sizes))
    return [
        Question(slice(end - size, end), with_probabilities=number % 4 == 0)
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


@pytest.mark.parametrize(
    ("flags", "singles"),
    [
        ((), 60_000),
        (("--no-lane",), 30_000),
        (("--coalescing", "worker"), 30_000),
        (("--coalescing", "worker", "--no-lane"), 20_000),
    ],
    ids=["lane", "no-lane", "lane-worker", "no-lane-worker"],
)
def test_none_of_100_000_rows_is_swapped_or_lost(
    iris_workshop: Workshop, known: Known, flags: tuple[str, ...], singles: int
) -> None:
    questions = questions_about(ROWS, singles)
    requests = [question.to_request(known) for question in questions]
    with serving(iris_workshop.models_dir, *PATIENT, *flags) as server:
        replies = ask_all(server, requests)
        assert [number for number, reply in enumerate(replies) if reply is None] == []
        pairs = enumerate(zip(questions, replies, strict=True))
        assert [number for number, (question, reply) in pairs if not question.is_answered_by(reply, known)] == []
        assert server.metric("corolla_rows_total") == ROWS
        assert server.metric("corolla_batches_total") < len(requests)  # else no request had a neighbour


def without(row: Row, name: str) -> bytes:
    return encode({other: value for other, value in row.items() if other != name})


def as_text(row: Row, name: str) -> bytes:
    return encode({**row, name: str(row[name])})


def beyond_fp32(row: Row, name: str) -> bytes:
    return encode({**row, name: 1e39})


def broken(row: Row, name: str) -> bytes:
    return encode(row).replace(f'"{name}":'.encode(), f'"{name}"'.encode())


SPOILT: Sequence[tuple[Callable[[Row, str], bytes], int]] = [
    (without, 422),
    (as_text, 422),
    (beyond_fp32, 422),
    (broken, 400),
]


@BOTH_WAYS
def test_bad_rows_fail_alone_and_their_neighbours_are_answered_as_if_alone(
    iris_workshop: Workshop, signature: Signature, estimator: Estimator, way: tuple[str, ...]
) -> None:
    """Of 3,000 requests every tenth has one bad row: singly, or in the middle of others."""
    random = np.random.default_rng(3)
    sizes = share_out(7_500, 2_700, random)
    rows = draw_rows(signature, sum(sizes), random)
    labels = iter(estimator.predict(rows).tolist())
    dicts = iter(as_dicts(rows.columns, rows.to_numpy()))
    names = itertools.cycle(rows.columns)
    spoilt = itertools.cycle(SPOILT)
    requests: list[bytes] = []
    expected: list[int | list[Label]] = []
    for number, size in enumerate(sizes):
        own, right = list(itertools.islice(dicts, size)), list(itertools.islice(labels, size))
        encoded = [encode(row) for row in own]
        expected.append(right)
        if number % 10 == 0:
            spoil, expected[-1] = next(spoilt)
            encoded[size // 2] = spoil(own[size // 2], next(names))
        requests.append(post_rows("iris", encoded))
    with serving(iris_workshop.models_dir, *PATIENT, "--coalescing", "worker", *way) as server:
        alone = ask_all(server, requests, clients=1)
        batches = server.metric("corolla_batches_total")
        together = ask_all(server, requests)
        assert server.metric("corolla_batches_total") < 1.5 * batches  # else few had neighbours
    assert [labels_or_status(reply) for reply in alone] == expected
    assert together == alone


def labels_of(reply: Reply | None) -> list[Label]:
    """Gives what an answer says of its rows; nothing where it is none."""
    if reply is None or reply[0] != 200:
        return []
    told = msgspec.json.decode(reply[1])
    return list(told["outputs"]) if "outputs" in told else [told["output"]]


def labels_or_status(reply: Reply | None) -> int | list[Label]:
    return labels_of(reply) or (reply[0] if reply else 0)


@pytest.fixture
def marked(iris_workshop: Workshop, tmp_path: Path) -> Path:
    publish_marked_model(tmp_path, iris_workshop.manifest())
    return tmp_path


def mark(row: Row, name: str) -> Row:
    return {**row, name: MARK + 1}


@BOTH_WAYS
def test_a_row_that_the_model_fails_on_fails_alone(marked: Path, signature: Signature, way: tuple[str, ...]) -> None:
    """Of 240 requests in flight together every tenth has such a row; every sixth asks about several rows."""
    first, *others = (feature.name for feature in signature.features)
    rows = draw_rows(signature, 400, np.random.default_rng(4))
    dicts: Iterator[Row] = iter(as_dicts(rows.columns, rows.to_numpy()))
    requests: list[bytes] = []
    expected: list[int | list[Label]] = []
    for number in range(240):
        own = list(itertools.islice(dicts, 5 if number % 6 == 0 else 1))
        expected.append([signature.labels[int(np.argmax([row[name] for name in others]))] for row in own])
        if number % 20 == 0 or number % 20 == 9:
            own[len(own) // 2] = mark(own[len(own) // 2], first)
            expected[-1] = 500
        requests.append(post_rows("marked", [encode(row) for row in own]))
    with serving(marked, *PATIENT, "--coalescing", "worker", *way) as server:
        replies = ask_all(server, requests, clients=len(requests))
        assert [labels_or_status(reply) for reply in replies] == expected
        assert server.metric("corolla_batches_total") < len(requests) / 2


def test_a_run_that_fails_leaves_nothing_but_json_in_the_log(marked: Path, signature: Signature) -> None:
    row = {feature.name: MARK + 1 for feature in signature.features}
    with serving(marked) as server:
        (reply,) = ask_all(server, [post_rows("marked", [encode(row)])], clients=1)
        assert labels_or_status(reply) == 500
        told = server.log_file.read_text().splitlines()
    assert [line for line in told if not line.startswith("{")] == []


@pytest.fixture(scope="module")
def slow_pair(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for name in ("slow", "other"):
        publish_slow_model(folder, iris_workshop.manifest(), name)
    return folder


def until(stopping: asyncio.Event, requests: Iterable[bytes]) -> Iterator[bytes]:
    return itertools.takewhile(lambda _: not stopping.is_set(), requests)


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


@BOTH_WAYS
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


@BOTH_WAYS
def test_large_requests_starve_neither_small_ones_nor_another_model(slow_pair: Path, way: tuple[str, ...]) -> None:
    row = encode(IRIS_ROW)
    flags = ("--coalescing", "worker", "--max-batch-rows", "16")
    with serving(slow_pair, *PATIENT, *flags, *way) as server:
        (label,) = labels_of(ask_all(server, [post_rows("slow", [row])], clients=1)[0])
        singles, was_answered, flood = asyncio.run(ask_singles_beside_a_flood(server, row))
    assert not was_answered
    assert [labels_of(reply) for reply in singles] == [[label]] * 2 * SINGLES
    assert [[labels_of(reply) for reply in replies] for replies in flood] == [[[label] * FLOOD_ROWS]] * 3
