"""Each worker reads what the others said last, and knows which of them are gone."""

import os
import subprocess
import sys
from pathlib import Path

from server.telemetry.worker_counts import WorkerCounts


def test_the_last_word_of_each_other_process_is_read_and_its_own_is_not(tmp_path: Path) -> None:
    worker_counts = WorkerCounts(tmp_path, os.getpid())
    worker_counts.publish(b"mine")
    assert list(worker_counts.read_others()) == []
    (tmp_path / str(os.getppid())).write_bytes(b"a parent's")
    assert list(worker_counts.read_others()) == [(b"a parent's", True)]


def test_what_a_dead_process_said_is_kept_and_it_is_known_to_be_dead(tmp_path: Path) -> None:
    imports = "import sys; from pathlib import Path; from server.telemetry.worker_counts import WorkerCounts"
    say = f"{imports}; e = WorkerCounts(Path(sys.argv[1]), 0)"
    subprocess.run([sys.executable, "-c", f"{say}; e.publish(b'1'); e.publish(b'2')", tmp_path], check=True)
    assert list(WorkerCounts(tmp_path, 0).read_others()) == [(b"2", False)]


def test_a_worker_knows_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    assert not WorkerCounts(tmp_path, os.getppid()).is_orphaned()
    assert WorkerCounts(tmp_path, os.getpid()).is_orphaned()
