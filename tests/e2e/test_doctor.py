"""`python -m server doctor` as a fleet runs it: JSON, an exit code, and no server left running."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from server.models.repository import MODEL_FILE
from tests.support.server_process import ROOT, STOP_S, wait_for
from tests.support.workshop import Workshop

TIME_S = 60
TIGHT = "p99_ms=0.001"
"""A budget that no server keeps, so that the ramp-up ends soon."""


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "server", "doctor", *flags]


def run(*flags: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*flags),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIME_S,
        check=False,
    )


def run_json(workshop: Workshop, *flags: str) -> tuple[int, dict[str, Any]]:
    ended = run("--json", "--models-dir", str(workshop.models_dir), *flags)
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)


def test_a_host_that_keeps_its_budget_is_fit(iris_workshop: Workshop) -> None:
    code, report = run_json(iris_workshop, "--budget", "p99_ms=10000,rss_mb=1000")
    assert (code, report["verdict"]["fit"], report["verdict"]["faults"], report["format"]) == (0, True, [], 1)
    assert set(report) == {
        *("format", "host", "sizing", "served", "refused", "load", "load_fault", "budget", "verdict"),
    }
    assert report["host"]["affinity"] == sorted(os.sched_getaffinity(0))
    assert [(model["name"], model["version"]) for model in report["served"]] == [("iris", 1)]
    assert report["budget"] == {"p99_ms": 10000, "rss_mb": 1000}
    steps = report["load"]["steps"]
    assert [step["offered_per_s"] for step in steps] == [250 * 2**number for number in range(len(steps))]
    assert sum(step["wrong"] for step in steps) == 0
    assert report["verdict"]["within_per_s"] > 0
    assert 10**7 < report["load"]["memory"]["rss_bytes"] < 10**9


def test_a_host_that_does_not_is_unfit_and_the_text_says_by_how_much(iris_workshop: Workshop) -> None:
    ended = run("--budget", f"{TIGHT},rss_mb=1", COROLLA_MODELS_DIR=str(iris_workshop.models_dir))
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("not fit")] == ["p99", "peak"]
    assert any(line.endswith("over the budget of 1 MB") for line in lines)
    assert "12 golden rows: 0 labels flipped one by one, 0 in a batch" in ended.stdout
    assert ended.stderr == ""


def test_a_version_that_was_tampered_with_is_refused_and_an_older_one_loaded(two_versions: Workshop) -> None:
    (two_versions.models_dir / "iris" / "2" / MODEL_FILE).write_bytes(b"")
    _, report = run_json(two_versions, "--budget", TIGHT)
    assert [(refused["version"], refused["replay"]) for refused in report["refused"]] == [(2, None)]
    assert report["refused"][0]["reason"].startswith("model.onnx is not what was published")
    assert [model["version"] for model in report["served"]] == [1]
    assert report["load"]["steps"][0]["answered"] > 0
    assert "iris/2 is refused: publish it again, or remove it" in report["verdict"]["advice"]


def test_a_host_where_all_is_refused_is_unfit(workshop: Workshop) -> None:
    (workshop.version_dir / MODEL_FILE).write_bytes(b"")
    code, report = run_json(workshop)
    assert (code, report["served"], report["load"]) == (1, [], None)
    assert report["refused"][0]["reason"].startswith("model.onnx is not what was published")
    assert report["verdict"]["faults"] == ["nothing can be served: all 1 versions were refused"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget", "p99=5"], "expected each of p99_ms, rss_mb at most once"),
        (["--budget", "p99_ms=soon"], "expected a number above 0 for p99_ms, got 'soon'"),
        (["--port", "high"], "bad setting: --port: expected a whole number"),
        (["--jsn"], "unrecognized arguments: --jsn"),
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2(flags: list[str], message: str) -> None:
    ended = run(*flags)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr


def test_help_has_its_own_flags_and_the_servers() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert all(flag in ended.stdout for flag in ("--json", "--budget", "--deadline-ms", "python -m server doctor"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_server_is_left_behind_on_a_signal(iris_workshop: Workshop, number: signal.Signals) -> None:
    flags = ("--models-dir", str(iris_workshop.models_dir))
    with subprocess.Popen(command(*flags), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        doctor = psutil.Process(process.pid)
        started = wait_for("a server", doctor.children)
        wait_for("its socket", lambda: any(child.net_connections() for child in started))
        process.send_signal(number)
        assert process.wait(STOP_S) == 128 + number
        _, alive = psutil.wait_procs(started, timeout=STOP_S)
        assert alive == []
