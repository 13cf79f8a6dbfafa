"""The server sealed in a container: it keeps to its limits, and whatever ends it, nothing that was taken is lost."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.container_process import podman, sealed_flags, serving_in_container
from tests.support.server_process import ServerProcess, wait_for
from tests.support.slow_model import publish_slow_model
from tests.support.wire import ANSWER, BODY, post, read_all
from tests.support.workshop import IRIS_ROW, Workshop

IN_FLIGHT = 100
WAIT_S = 60


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/iris/predict", json=dict(IRIS_ROW))


def status(server: ServerProcess) -> dict[str, str]:
    """Reads what the kernel says of the container's first process."""
    lines = podman("exec", server.container, "cat", "/proc/1/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture(scope="module")
def sealed(image: str, iris_workshop: Workshop) -> Iterator[ServerProcess]:
    with serving_in_container(image, iris_workshop.models_dir) as server:
        yield server
        assert server.stop() == 0


def test_it_has_no_rights_and_nothing_to_write_to(sealed: ServerProcess) -> None:
    told = status(sealed)
    assert {told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (told["NoNewPrivs"], told["Seccomp"], told["Uid"].split()[0]) == ("1", "2", "10001")
    places = "/ /opt/corolla/app /models /var/tmp /run /home"
    tried = f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done; true"
    assert podman("exec", sealed.container, "bash", "-c", tried) == ""


def test_its_health_check_needs_no_python(sealed: ServerProcess) -> None:
    assert podman("healthcheck", "run", sealed.container) == ""
    assert "python" not in podman("inspect", "--format", "{{json .Config.Healthcheck.Test}}", sealed.container)


def test_its_health_check_fails_where_nothing_answers(sealed: ServerProcess) -> None:
    (told,) = podman("inspect", "--format", "{{index .Config.Healthcheck.Test 3}}", sealed.container).splitlines()
    asked = ["bash", "-c", f"COROLLA_PORT=1; {told}; echo $?"]
    assert podman("exec", sealed.container, *asked).splitlines()[-1] == "1"


@pytest.mark.parametrize(("cpus", "threads"), [("0.5", 1), ("1", 1), ("2", 2)])
def test_a_session_has_as_many_threads_as_the_quota_allows(
    image: str, iris_workshop: Workshop, sealed: ServerProcess, cpus: str, threads: int
) -> None:
    with serving_in_container(image, iris_workshop.models_dir, limits=[f"--cpus={cpus}"]) as server:
        assert ask(server.url).status_code == 200
        assert f'"session_threads": {threads}' in server.log_file.read_text()
        # The one that calls is among them, and the process has some of its own.
        assert int(status(server)["Threads"]) - int(status(sealed)["Threads"]) == threads - 1


def test_its_doctor_reads_the_containers_own_limits(image: str, iris_workshop: Workshop) -> None:
    mount = f"{iris_workshop.models_dir}:/models:ro"
    command = ["podman", "run", "--rm", "--pull=never", *sealed_flags(), "--volume", mount, image, "doctor", "--json"]
    ended = subprocess.run([*command, "--budget=rss_mb=256"], check=True, stdout=subprocess.PIPE)
    told = json.loads(ended.stdout)
    assert (told["host"]["quota_cores"], told["host"]["memory_bytes"]) == (1, 256 * 2**20)
    assert (told["sizing"]["workers"], told["sizing"]["session_threads"]) == (1, 1)
    assert [model["replay"]["flips_alone"] for model in told["served"]] == [0]
    assert told["load"]["steps"][0]["answered"] > 0
    assert 0 < told["load"]["memory"]["cgroup_peak_bytes"] <= 256 * 2**20
    assert told["verdict"]["fit"]


def test_it_starts_and_answers_in_96_mb(image: str, iris_workshop: Workshop) -> None:
    limits = ["--memory=96m", "--memory-swap=96m"]
    with serving_in_container(image, iris_workshop.models_dir, limits=limits) as server:
        for _ in range(100):
            assert ask(server.url).content == ANSWER
        assert server.stop() == 0


def test_what_was_in_flight_at_sigterm_is_answered(image: str, iris_workshop: Workshop, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"  # readable for all, as pytest's own folder is not
    publish_slow_model(models_dir, iris_workshop.manifest())
    bounds = ("--coalescing", "worker", "--max-batch-rows", "2", "--deadline-ms", "60000")
    with serving_in_container(image, models_dir, *bounds) as server:
        connections = [socket.create_connection(("127.0.0.1", server.port), WAIT_S) for _ in range(IN_FLIGHT)]
        for connection in connections:
            connection.sendall(post(BODY, target=b"/slow/predict"))
        wait_for("queue", lambda: server.metric("corolla_queue_rows") > 0)
        assert server.stop() == 0
        answers = [read_all(connection) for connection in connections]
        for connection in connections:
            connection.close()
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * IN_FLIGHT


def test_killed_under_a_restart_policy_it_comes_back_and_is_right(image: str, iris_workshop: Workshop) -> None:
    name = f"corolla-test-{secrets.token_hex(4)}"
    mount = f"{iris_workshop.models_dir}:/models:ro"
    podman(
        *("run", "--detach", "--pull=never", "--name", name, "--restart=always", *sealed_flags()),
        *("--publish", "127.0.0.1::8000", "--volume", mount, image),
    )
    try:
        url = "http://" + re.sub(r"\s", "", podman("port", name, "8000"))
        wait_for("answer", lambda: _answers(url))
        killed = podman("inspect", "--format", "{{.State.Pid}}", name)
        os.kill(int(killed), signal.SIGKILL)
        wait_for("another process", lambda: podman("inspect", "--format", "{{.State.Pid}}", name) not in {killed, "0"})
        wait_for("answer", lambda: _answers(url))
    finally:
        podman("rm", "--force", "--time=0", name)


def _answers(url: str) -> bool:
    try:
        return ask(url).content == ANSWER
    except httpx.TransportError:
        return False
