"""More than can be done in time is refused at once; what is late or no longer wanted is not run."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving, wait_for
from tests.support.slow_model import publish_slow_model
from tests.support.wire import BODY, post, read_all
from tests.support.workshop import Workshop

PREDICT = "/slow/predict"
QUEUE_ROWS = 12
REQUEST = post(target=PREDICT.encode())


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory, iris_workshop: Workshop) -> Path:
    models_dir = tmp_path_factory.mktemp("slow")
    publish_slow_model(models_dir, iris_workshop.manifest())
    return models_dir


@pytest.fixture(params=BOTH_WAYS)
def slow(slow_models: Path, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One row at a time, some 5 ms each, and a short queue."""
    bounds = ("--max-batch-rows", "1", "--max-queue-rows", str(QUEUE_ROWS), "--coalescing", "worker")
    with serving(slow_models, *bounds, "--deadline-ms", "20000", *request.param) as running:
        yield running
        assert running.stop() == 0


def ask(client: httpx.Client) -> httpx.Response:
    return client.post(PREDICT, content=BODY)


def test_beyond_the_queues_bound_requests_are_refused_and_the_others_answered(slow: ServerProcess) -> None:
    # As many connections kept as there are threads: one beyond them is closed by httpx while another thread reads it.
    kept = httpx.Limits(max_keepalive_connections=40)
    with httpx.Client(base_url=slow.url, timeout=30, limits=kept) as client, ThreadPoolExecutor(40) as threads:
        responses = list(threads.map(lambda _: ask(client), range(200)))
        statuses = Counter(response.status_code for response in responses)
        assert set(statuses) == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert response.json() == {"error": f"the queue is full ({QUEUE_ROWS} rows)"}
                assert int(response.headers["retry-after"]) >= 1
        assert slow.metric("corolla_rejected_total") == statuses[503]
        assert slow.metric("corolla_rows_total") == statuses[200]
        assert [ask(client).status_code for _ in range(20)] == [200] * 20
        assert slow.metric("corolla_queue_rows") == 0


def test_a_deadline_that_passes_while_the_row_runs_is_504(slow: ServerProcess) -> None:
    with httpx.Client(base_url=slow.url) as client:
        for _ in range(3):  # the lane knows its head from the second time on
            response = client.post(PREDICT, content=BODY, headers={"Corolla-Deadline-Ms": "1"})
            assert response.status_code == 504
            assert response.json() == {"error": "the deadline passed before there was an answer"}
            assert ask(client).status_code == 200


def test_clients_that_go_away_are_not_run_and_their_neighbours_are(slow: ServerProcess) -> None:
    before = slow.metric("corolla_rows_total")
    leaving = [socket.create_connection(("127.0.0.1", slow.port)) for _ in range(QUEUE_ROWS - 1)]
    with socket.create_connection(("127.0.0.1", slow.port), timeout=30) as staying:
        for connection in leaving:
            connection.sendall(REQUEST)
        try:
            wait_for("queue", lambda: slow.metric("corolla_queue_rows") >= 3)
        finally:
            for connection in leaving:
                connection.close()
        staying.sendall(REQUEST)
        assert staying.recv(12) == b"HTTP/1.1 200"
    wait_for("empty queue", lambda: slow.metric("corolla_queue_rows") == 0)
    assert slow.metric("corolla_rows_total") - before < QUEUE_ROWS


def test_what_was_accepted_before_sigterm_is_answered(slow: ServerProcess) -> None:
    with ThreadPoolExecutor(QUEUE_ROWS) as threads, httpx.Client(base_url=slow.url, timeout=30) as client:
        before = slow.metric("corolla_rows_total")
        answers = [threads.submit(ask, client) for _ in range(QUEUE_ROWS)]
        wait_for("a row that ran", lambda: slow.metric("corolla_rows_total") > before)
        assert slow.stop() == 0
        assert [answer.result().status_code for answer in answers] == [200] * QUEUE_ROWS


def test_the_log_says_how_requests_are_coalesced_and_why(slow_models: Path) -> None:
    with serving(slow_models) as server:
        (told,) = [line for line in server.log() if line["message"] == "coalescing"]
    assert told["on_worker"] is True
    assert 1 <= told["max_batch_rows"] <= 64
    assert told["why"] == "measured"
    assert told["batch_us"] + told["row_us"] > 500


def test_readiness_fails_before_the_server_stops(slow_models: Path) -> None:
    with (
        serving(slow_models, "--max-batch-rows", "1", "--deadline-ms", "20000") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as busy,
    ):
        assert client.get("/readyz").status_code == 200
        probe = b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"
        busy.sendall(probe[:-2])
        assert client.get("/healthz").status_code == 200
        server.process.terminate()
        wait_for("shutdown", lambda: "Waiting for connections to close" in server.log_file.read_text())
        busy.sendall(probe[-2:])
        answer = read_all(busy)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"status":"draining"' in answer
        assert server.process.wait(30) == 0
