"""Several workers are one server: they share a socket and a count, and none outlives the one that watches over them."""

import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from server.models.repository import MODEL_FILE
from tests.support.server_process import STOP_S, ServerProcess, read_log, serving, start, wait_for, workers_of
from tests.support.typed_model import GOLDEN
from tests.support.workshop import IRIS_ROW, Workshop

WORKERS = 2


@pytest.fixture
def server(iris_workshop: Workshop) -> Iterator[ServerProcess]:
    with serving(iris_workshop.models_dir, "--workers", str(WORKERS)) as running:
        wait_for("all workers", lambda: len(workers_of(running)) == WORKERS)
        yield running


def test_all_workers_answer_and_any_of_them_tells_what_all_have_counted(server: ServerProcess) -> None:
    for _ in range(40):
        response = httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW))
        assert response.json() == {"output": "Iris-virginica", "model_name": "log_reg_1"}
    wait_for("the count of both", lambda: server.metric("corolla_requests_total") == 40)
    assert server.stop() == 0


def test_unseen_categories_of_all_workers_are_counted_together(typed_models: Path) -> None:
    strange = {**GOLDEN[0], "c": "violet"}
    with serving(typed_models, "--workers", str(WORKERS)) as server:
        wait_for("all workers", lambda: len(workers_of(server)) == WORKERS)
        for _ in range(20):
            for row in (strange, GOLDEN[0]):
                # A connection of its own each time, so that both workers are asked.
                assert httpx.post(f"{server.url}/words/predict", json=row).status_code == 200
        wait_for("the count of both", lambda: server.metric("corolla_unseen_categories_total") == 20)
        wait_for("the rows of both", lambda: server.metric("corolla_rows_total") == 40)
        told = httpx.get(f"{server.url}/metrics").text
        assert 'corolla_unseen_categories_total{feature="c",model="numbers"} 0.0' in told
        assert server.stop() == 0


def test_workers_do_not_outlive_the_one_that_watches_over_them(server: ServerProcess) -> None:
    workers = [psutil.Process(pid) for pid in workers_of(server)]
    server.process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=STOP_S)
    assert alive == []
    assert [line["level"] for line in server.log() if "the supervisor is gone" in line["message"]] == [
        "error"
    ] * WORKERS


def test_a_count_that_cannot_be_told_is_a_warning_and_requests_are_answered(server: ServerProcess) -> None:
    own = next(iter(workers_of(server)))
    (told,) = wait_for("a first word", lambda: list(Path(tempfile.gettempdir()).glob(f"corolla-*/{own}")))
    folder = told.parent
    folder.rename(folder.with_name("moved"))
    wait_for("a warning", lambda: any(line["level"] == "warning" for line in server.log()))
    folder.with_name("moved").rename(folder)
    assert httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW)).status_code == 200


def test_workers_without_a_sound_version_end_with_1_and_are_not_tried_again(workshop: Workshop, tmp_path: Path) -> None:
    (workshop.version_dir / MODEL_FILE).unlink()
    process = start(tmp_path / "log", "--models-dir", str(workshop.models_dir), "--workers", "2", "--port", "0")
    assert process.wait(STOP_S) == 1
    refusals = [line for line in read_log(tmp_path / "log") if line["message"].startswith("nothing to serve")]
    assert len(refusals) == 1


def test_a_replacement_that_finds_nothing_sound_ends_the_server_with_1(workshop: Workshop) -> None:
    with serving(workshop.models_dir, "--workers", str(WORKERS)) as server:
        workers = wait_for("all workers", lambda: pids if len(pids := workers_of(server)) == WORKERS else None)
        (workshop.version_dir / MODEL_FILE).unlink()
        psutil.Process(min(workers)).kill()
        assert server.process.wait(STOP_S) == 1
        assert [line for line in server.log() if line["message"].startswith("nothing to serve")]


@pytest.fixture
def loading(iris_workshop: Workshop, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """Gives a supervisor and its first worker, which still loads its models."""
    flags = ("--models-dir", str(iris_workshop.models_dir), "--workers", "2", "--port", "0")
    process = start(tmp_path / "log", *flags)
    supervisor = psutil.Process(process.pid)
    (worker,) = wait_for(
        "worker", lambda: [child for child in supervisor.children() if "spawn_main" in " ".join(child.cmdline())]
    )
    yield process, worker
    process.kill()
    process.wait()


def test_a_first_worker_that_is_killed_ends_the_server_with_1(
    loading: tuple[subprocess.Popen[bytes], psutil.Process], tmp_path: Path
) -> None:
    process, worker = loading
    worker.kill()
    assert process.wait(STOP_S) == 1
    last = read_log(tmp_path / "log")[-1]
    assert (last["message"], last["pid"]) == ("a worker ended before it could serve", worker.pid)
    assert last["exit_code"] == -signal.SIGKILL


def test_a_signal_while_the_first_worker_loads_ends_the_server_with_0(
    loading: tuple[subprocess.Popen[bytes], psutil.Process], tmp_path: Path
) -> None:
    process, worker = loading
    process.terminate()
    assert process.wait(STOP_S) == 0
    assert not worker.is_running()
    assert "listening" not in [line["message"] for line in read_log(tmp_path / "log")]


def test_a_port_that_another_opens_meanwhile_is_a_bad_setting(iris_workshop: Workshop, tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        flags = ("--models-dir", str(iris_workshop.models_dir), "--port", port, "--workers", str(WORKERS))
        server = start(log_file, *flags)
        wait_for("bound address", lambda: "Started parent process" in log_file.read_text())
        other.listen()
        assert server.wait(STOP_S) == 2
    assert [line["message"].split(" --host")[0] for line in read_log(log_file) if line["level"] == "error"] == [
        "bad setting: cannot listen on"
    ]
