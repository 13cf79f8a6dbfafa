"""The audit asks a database that answers, says what it found, and says aloud where it could ask none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from tests.support.server_process import ROOT, free_port

LOCK = f"""good==1.0 \\
    --hash=sha256:{"0" * 64}
ill==2.0 \\
    --hash=sha256:{"1" * 64}
"""
KNOWN = {
    "vulns": [{"id": "OSV-1", "summary": "it is ill", "affected": [{"package": {"name": "ill", "ecosystem": "PyPI"}}]}]
}


class Database(BaseHTTPRequestHandler):
    """Knows one vulnerability, of one package."""

    asked: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.add(asked["package"]["name"])
        answer = json.dumps(KNOWN if asked["package"]["name"] == "ill" else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/query"
        server.shutdown()


def audit(url: str, *locks: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(ROOT / "tests/audit.py"), "--osv-url", url, *map(str, locks)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)


def test_a_known_vulnerability_fails(database: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    ended = audit(database, tmp_path / "lock", folder=tmp_path)
    assert ended.returncode == 1
    assert "OSV-1" in ended.stdout


def test_the_locks_can_be_read_and_pass_where_nothing_is_known(database: str, tmp_path: Path) -> None:
    ended = audit(database, ROOT / "tests/requirements.lock", folder=tmp_path)
    assert ended.returncode == 0
    assert "No known vulnerabilities found" in ended.stderr
    assert {"litestar", "onnxruntime", "scikit-learn", "cryptography", "pytest"} <= Database.asked


def test_without_a_database_it_is_skipped_aloud(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    ended = audit(f"http://127.0.0.1:{free_port()}/", tmp_path / "lock", folder=tmp_path)
    assert ended.returncode == 0
    assert "AUDIT SKIPPED" in ended.stderr
    assert "NOTHING WAS CHECKED" in ended.stderr


def test_what_is_no_lock_is_not_skipped(database: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("good\n")
    assert audit(database, tmp_path / "lock", folder=tmp_path).returncode != 0
