"""The servers that are measured: real processes, each on a free port and pinned to one core, inside a `with` block."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil

from tests.bench.models import CACHE, ROOT, Published
from tests.support.server_process import free_port, wait_for
from tests.support.workshop import IRIS_ROW

HERE = Path(__file__).parent
STOP_S = 20
LOG_CHARS = 2000
BODY = json.dumps(dict(IRIS_ROW)).encode()
RAW, NGINX = "raw ASGI constant", "nginx constant"
UNMEASURED = "unmeasured Corolla"
COROLLA, NO_LANE, ONE_BY_ONE, FASTAPI = "Corolla", "Corolla --no-lane", "Corolla --max-batch-rows 1", "FastAPI"
BEFORE, BEFORE_NO_LANE = "Corolla before", "Corolla before --no-lane"
"""The server of another checkout of the project."""
UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type application/json;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{{"output":"Iris-virginica","model_name":"log_reg_1"}}'; }}
    }}
}}
"""


@attrs.frozen
class Target:
    """One running server.

    Attributes:
        name: Its name in the tables.
        port: The port on which it listens, on the loopback address.
        process: The first process of its tree.
    """

    name: str
    port: int
    process: psutil.Process

    def ask(self) -> bytes:
        """Request one prediction and return the body."""
        url = f"http://127.0.0.1:{self.port}/iris/predict"
        request = urllib.request.Request(url, BODY, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=STOP_S) as response:  # noqa: S310
            return bytes(response.read())

    def cpu_s(self) -> float:
        """Return the CPU time of the whole process tree so far, user and system."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def pss_bytes(self) -> int:
        """Return the PSS of the whole process tree."""
        return sum(int(process.memory_full_info().pss) for process in self._tree())

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def start(name: str, model: Published, core: int, flags: Sequence[str] = (), baseline: Path = ROOT) -> Iterator[Target]:
    """Start one of the named servers and wait until it answers.

    Args:
        name: The server.
        model: The model that it serves.
        core: The core that it is pinned to.
        flags: Further flags of Corolla's servers.
        baseline: The checkout whose server is `BEFORE`.

    Raises:
        RuntimeError: If the server ends instead; the text has the end of its log.
    """
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                pinned(_command(name, model, port, Path(folder), flags), core),
                cwd={FASTAPI: HERE / "peer", BEFORE: baseline, BEFORE_NO_LANE: baseline}.get(name, ROOT),
                env={**os.environ, "ESTIMATOR": str(model.estimator_file), "MODEL_NAME": model.model_name},
                stdout=output,
                stderr=output,
            )
        target = Target(name, port, psutil.Process(process.pid))
        try:
            wait_for(name, lambda: _answers(target, process, log))
            yield target
        finally:
            process.terminate()
            process.wait(STOP_S)


def pinned(command: list[str], core: int) -> list[str]:
    """Return the command that runs another one on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def is_installed(name: str) -> bool:
    """Return True if a server can be measured on this machine."""
    return name != NGINX or shutil.which("nginx") is not None


def _command(name: str, model: Published, port: int, folder: Path, flags: Sequence[str]) -> list[str]:
    if name == NGINX:
        (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, port=port))
        return ["nginx", "-e", f"{folder}/errors", "-c", f"{folder}/nginx.conf"]
    if name == RAW:
        return [sys.executable, *UVICORN, "--port", str(port), "tests.bench.constant:app"]
    if name == FASTAPI:
        return [str(_peer_python()), *UVICORN, "--port", str(port), "serve:app"]
    server = [str(HERE / "unmeasured.py")] if name == UNMEASURED else ["-m", "server"]
    own_flags = [] if name == UNMEASURED else name.removeprefix(BEFORE).removeprefix(COROLLA).split()
    where = ["--port", str(port), "--models-dir", str(model.models_dir), "--workers", "1"]
    return [sys.executable, *server, *where, *own_flags, *flags]


def _peer_python() -> Path:
    """Return the interpreter of the peer's own environment, which is made the first time."""
    python = CACHE / "peer" / "bin" / "python"
    if not python.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, CACHE / "peer"], check=True)
        lock = HERE / "peer" / "requirements.lock"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--requirement", lock], check=True)
    return python


def _answers(target: Target, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    if process.poll() is not None:
        end = log.read_text()[-LOG_CHARS:]
        raise RuntimeError(f"{target.name} ended with {process.returncode} before it answered:\n{end}")
    try:
        return b"output" in target.ask()
    except (urllib.error.URLError, ConnectionError):
        return False
