"""A server is started on a free port, and stopped whatever happens."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from server.doctor import child as child_module
from server.doctor.child import serving
from server.doctor.errors import NotServingError
from tests.support.server_process import STOP_S
from tests.support.workshop import Workshop

DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('no JSON', flush=True)\n"
    "while True: signal.pause()"
)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_a_server_of_the_flags_is_there_for_as_long_as_the_block(iris_workshop: Workshop) -> None:
    before = children()
    with serving(["--models-dir", str(iris_workshop.models_dir), "--port", "80"], workers=2) as child:
        assert httpx.get(f"http://127.0.0.1:{child.port}/readyz").json()["models"] == {"iris": 1}
        started = [process for process in children() if process not in before]
    assert len(started) >= 3
    _, alive = psutil.wait_procs(started, timeout=STOP_S)
    assert alive == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_is_stopped_whatever_ends_the_block(iris_workshop: Workshop, error: type[BaseException]) -> None:
    before = children()
    with pytest.raises(error), serving(["--models-dir", str(iris_workshop.models_dir)], workers=1):
        raise error
    assert children() == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_does_not_start_is_an_error_with_its_reason(tmp_path: Path, workers: int) -> None:
    with (
        pytest.raises(NotServingError, match=f"^the server did not start: nothing to serve in {tmp_path}"),
        serving(["--models-dir", str(tmp_path)], workers),
    ):
        pass


def test_a_server_that_cannot_begin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError), serving([], workers=1):
        pass


def test_one_that_does_not_stop_on_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It logs nothing that is JSON, and ignores SIGTERM."""
    deaf = tmp_path / "python"
    deaf.write_text(f"#!{sys.executable}\nimport sys; sys.stdout = sys.stderr\n{DEAF}\n")
    deaf.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(deaf))
    monkeypatch.setattr(child_module, "START_S", 3.0)
    monkeypatch.setattr(child_module, "STOP_S", 0.1)
    before = children()
    with pytest.raises(NotServingError, match=r"^the server did not start: no JSON$"), serving([], workers=1):
        pass
    assert children() == before


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Handles SIGTERM by an exception, as the doctor does, and keeps its number."""
    numbers: list[int] = []

    def end(number: int, _frame: object) -> None:
        numbers.append(number)
        raise SystemExit

    before = signal.signal(signal.SIGTERM, end)
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_a_signal_that_comes_while_it_is_started_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch, handled: list[int], iris_workshop: Workshop
) -> None:
    start = subprocess.Popen

    def start_and_signal(*arguments: object, **keywords: object) -> object:
        process = start(*arguments, **keywords)  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGTERM)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_and_signal)
    before = children()
    with pytest.raises(SystemExit), serving(["--models-dir", str(iris_workshop.models_dir)], workers=1):
        pass
    assert handled == [signal.SIGTERM]
    assert children() == before
