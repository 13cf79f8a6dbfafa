"""CPU time and memory are summed over a process and its descendants, as the kernel has them."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from server.doctor.process_tree import TICK_S, ProcessTree

SPIN = "for _ in range(3_000_000): pass"
CHILD = f"{SPIN}\nprint(1, flush=True)\ninput()"
WITH_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_a_child_counts_with_its_parent() -> None:
    command = [sys.executable, "-c", WITH_A_CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert len(whole) == 2
        tree = ProcessTree(process.pid)
        assert tree.rss_bytes() == sum(each.memory_info().rss for each in whole)
        assert tree.cpu_s() == pytest.approx(sum(sum(each.cpu_times()[:2]) for each in whole), abs=TICK_S)
        pss_bytes = tree.pss_bytes()
        assert pss_bytes is not None
        assert 0 < pss_bytes <= tree.rss_bytes() <= tree.peak_rss_bytes()
        process.communicate(b"\n")
    assert (tree.cpu_s(), tree.rss_bytes(), tree.pss_bytes()) == (0, 0, None)


def test_a_figure_that_the_kernel_does_not_have_is_none(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tserver\nVmHWM:\t    900 kB\nVmRSS:\t    500 kB\n")
    (tmp_path / "7" / "stat").write_text("7 (a ) name) S 1 7 7 0 -1 0 0 0 0 0 300 200 0 0 20 0 1 0\n")
    tree = ProcessTree(7, tmp_path)
    assert (tree.rss_bytes(), tree.peak_rss_bytes(), tree.pss_bytes()) == (512_000, 921_600, None)
    assert tree.cpu_s() == 500 * TICK_S
