"""The server's life: it starts with what is sound, says what is not, drains on SIGTERM and exits 0."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.host.cgroup import read_cores
from server.models.repository import MANIFEST_FILE, MODEL_FILE
from tests.support.server_process import STOP_S, free_port, read_log, serving, start, wait_for
from tests.support.wire import ANSWER, post, read_all
from tests.support.workshop import IRIS_ROW, Workshop

CORES = read_cores()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def refused_start(tmp_path: Path, *flags: str, **environment: str) -> tuple[int, str]:
    """Starts a server that must end by itself; gives its exit code and the message of its last log line."""
    process = start(tmp_path / "log", *flags, **environment)
    return process.wait(STOP_S), read_log(tmp_path / "log")[-1]["message"]


def test_the_newest_version_is_served(two_versions: Workshop) -> None:
    with serving(two_versions.models_dir) as server:
        assert httpx.get(f"{server.url}/").json()["models"] == {"iris": 2}


@pytest.mark.parametrize("spoil", [flip_a_bit, cut_in_half, os.remove])
@pytest.mark.parametrize("file", [MODEL_FILE, MANIFEST_FILE])
def test_a_spoilt_version_is_refused_and_the_next_older_one_served(
    two_versions: Workshop, file: str, spoil: Callable[[Path], None]
) -> None:
    spoil(two_versions.models_dir / "iris" / "2" / file)
    with serving(two_versions.models_dir) as server:
        readiness = httpx.get(f"{server.url}/readyz").json()
        assert readiness["status"] == "degraded"
        assert readiness["models"] == {"iris": 1}
        assert [(refused["model"], refused["version"]) for refused in readiness["refused"]] == [("iris", 2)]
        assert file in readiness["refused"][0]["reason"]
        assert str(two_versions.models_dir) not in json.dumps(readiness)
        refusals = [line for line in server.log() if line["message"] == "version refused"]
        assert [(line["level"], line["version"]) for line in refusals] == [("error", 2)]
        answer = httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW))
        assert answer.json() == {"output": "Iris-virginica", "model_name": "log_reg_1"}


def test_without_a_sound_version_the_server_says_so_and_exits_1(workshop: Workshop, tmp_path: Path) -> None:
    flip_a_bit(workshop.version_dir / MODEL_FILE)
    code, message = refused_start(tmp_path, "--models-dir", str(workshop.models_dir))
    assert code == 1
    assert message.startswith(f"nothing to serve in {workshop.models_dir}")
    assert message.endswith("found 1, none of them sound")


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_port_opens_where_nothing_is_sound(workshop: Workshop, tmp_path: Path, workers: str) -> None:
    (workshop.version_dir / MODEL_FILE).unlink()
    port = free_port()
    flags = ("--models-dir", str(workshop.models_dir), "--workers", workers, "--port", str(port))
    process = start(tmp_path / "log", *flags)

    def has_ended() -> bool:
        assert is_refused(port)
        return process.poll() is not None

    wait_for("end", has_ended)
    assert process.returncode == 1
    messages = [line["message"] for line in read_log(tmp_path / "log")]
    assert [message.startswith("nothing to serve in") for message in messages].count(True) == 1
    assert "listening" not in messages


def test_without_a_models_directory_the_server_says_so_and_exits_1(tmp_path: Path) -> None:
    code, message = refused_start(tmp_path, "--models-dir", str(tmp_path / "nowhere"))
    assert (code, message.startswith("nothing to serve in")) == (1, True)


def test_a_bad_setting_is_named_and_the_server_exits_2(tmp_path: Path) -> None:
    code, message = refused_start(tmp_path, COROLLA_PORT="eighty")
    assert code == 2
    assert message == "bad setting: COROLLA_PORT: expected a whole number from 0 to 65535, got 'eighty'"


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid", "192.0.2.1"])
def test_an_address_that_cannot_be_listened_on_is_named_and_the_server_exits_2(
    iris_workshop: Workshop, tmp_path: Path, host: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ("--models-dir", str(iris_workshop.models_dir), "--host", host, "--port", str(port))
        code, message = refused_start(tmp_path, *flags)
    assert code == 2
    assert message.startswith(f"bad setting: cannot listen on --host {host} --port {port}: ")
    assert message.endswith("; choose another with --port, or 0 for a free one") is (host == "127.0.0.1")


def test_help_is_printed_for_people() -> None:
    shown = subprocess.run([sys.executable, "-m", "server", "--help"], capture_output=True, text=True, check=True)
    assert "COROLLA_MAX_BATCH_ROWS" in shown.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_0(iris_workshop: Workshop, number: signal.Signals) -> None:
    with serving(iris_workshop.models_dir) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        server.process.send_signal(number)
        assert server.process.wait(STOP_S) == 0
        assert server.log()[-1]["message"].startswith("Finished server process")


def test_a_request_in_flight_is_answered_after_sigterm(iris_workshop: Workshop) -> None:
    request = post()
    with serving(iris_workshop.models_dir) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=STOP_S) as connection:
            connection.sendall(request[:-10])
            # A later connection that is answered shows that the server has read the half request.
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            server.process.terminate()
            wait_for("shutdown", lambda: "Shutting down" in server.log_file.read_text())
            connection.sendall(request[-10:])
            answer = read_all(connection)
        assert ANSWER in answer
        assert server.process.wait(STOP_S) == 0


def test_requests_that_arrive_together_each_get_their_own_answer(iris_workshop: Workshop) -> None:
    golden = iris_workshop.manifest().golden * 20
    with (
        serving(iris_workshop.models_dir, "--max-batch-rows", "8") as server,
        httpx.Client(base_url=server.url, timeout=STOP_S) as client,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = threads.map(lambda known: client.post("/iris/predict", json=known.row).json()["output"], golden)
        assert list(answers) == [known.output for known in golden]


def test_a_client_that_goes_away_does_no_harm(iris_workshop: Workshop) -> None:
    with serving(iris_workshop.models_dir) as server:
        for sent in (b"POST /iris/predict HTTP/1.1\r\n", b"POST /iris/predict HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(sent)
        answer = httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW))
        assert answer.json()["output"] == "Iris-virginica"
        assert server.stop() == 0
        assert [line for line in server.log() if line["level"] != "info"] == []


def test_the_access_log_has_one_line_a_request(iris_workshop: Workshop) -> None:
    with serving(iris_workshop.models_dir, environment={"COROLLA_ACCESS_LOG": "true"}) as server:
        httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW))
        httpx.get(f"{server.url}/nowhere?secret=1")
        assert server.stop() == 0
        lines = [line for line in server.log() if line["message"] == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/iris/predict", 200),
        ("GET", "/nowhere", 404),
    ]
    assert all(line["bytes"] > 0 and line["duration_us"] >= 0 for line in lines)


def test_one_line_of_the_log_says_every_size_and_why(iris_workshop: Workshop) -> None:
    with serving(iris_workshop.models_dir, "--max-queue-rows", "500") as server:
        (sized,) = [line for line in server.log() if line["message"] == "sized"]
    assert (sized["workers"], sized["session_threads"], sized["max_queue_rows"]) == (1, CORES.usable, {"iris": 500})
    assert (sized["cpu_quota"], sized["cpu_affinity"]) == (CORES.quota, CORES.affinity)
    assert sized["left_mb"] < sized["memory_mb"]
    assert set(sized["why"]) == {
        *("workers", "session_threads", "left_mb", "max_queue_rows", "max_batch_rows", "bodies_mb"),
    }
    assert sized["why"]["max_queue_rows"] == "asked for"


def test_requests_are_not_logged_unless_asked_for(iris_workshop: Workshop) -> None:
    with serving(iris_workshop.models_dir) as server:
        httpx.get(f"{server.url}/healthz")
        assert server.stop() == 0
        assert not [line for line in server.log() if line["message"] == "request" or "/healthz" in line["message"]]
