"""Conversion runs in a child bounded in time and memory; however it ends, there is a reason and no process left.

The faults of a library are caused by an altered skl2onnx, which each child imports.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import msgspec
import psutil
import pytest

from convert.compile.child import MEMORY_BYTES, ChildCompiler
from convert.compile.export import PRECISIONS, export
from convert.compile.features import describe_features
from convert.errors import ConvertError
from convert.parity.answers import to_rows
from server.contract.signature import Feature
from server.models.session import Session
from tests.support.server_process import ROOT, wait_for
from tests.support.workshop import Workshop
from training.artifacts import ESTIMATOR_FILE, load_artifacts
from training.runlog import RunLog

ALTERED = """
import os
import signal
from pathlib import Path

import skl2onnx

signal.signal(signal.SIGINT, signal.default_int_handler)
sound = skl2onnx.to_onnx
calls = 0


def to_onnx(*arguments, **options):
    global calls
    calls += 1
    exec((Path(__file__).parent / "deed").read_text())
    return sound(*arguments, **options)


skl2onnx.to_onnx = to_onnx
"""
PRINTS = "print('{}'); print('loud', flush=True); os.write(1, b'and from C\\n')"
HANGS = "(Path(__file__).parent / 'hangs').write_text(str(os.getpid()))\nwhile True: pass"
IRIS = tuple(
    Feature(name, "number", nullable=False, quantiles=(0, 1, 2, 3, 8))
    for name in ("SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm")
)
CALLED = "(Path(__file__).parent / 'called').touch()"


@attrs.frozen(eq=False)
class Library:
    """The altered skl2onnx: runs a statement before it compiles."""

    folder: Path

    def does(self, deed: str) -> None:
        (self.folder / "deed").write_text(deed)

    def hanging(self) -> int | None:
        """Returns the process that hangs, if one does by now."""
        path = self.folder / "hangs"
        return int(text) if path.exists() and (text := path.read_text()) else None


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("altered")
    (folder / "sitecustomize.py").write_text(ALTERED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield Library(folder)


@pytest.fixture
def library(children: Library) -> Library:
    children.does("")
    (children.folder / "hangs").unlink(missing_ok=True)
    return children


@pytest.fixture(scope="module")
def shared_compiler(children: Library, iris_workshop: Workshop) -> Iterator[ChildCompiler]:  # noqa: ARG001  its PYTHONPATH
    """One for all tests: the next test uses the child that one leaves alive."""
    with ChildCompiler(iris_workshop.data_dir, 1) as compiler:
        yield compiler
    assert not own_children()


@pytest.fixture
def compiler(shared_compiler: ChildCompiler, library: Library) -> ChildCompiler:  # noqa: ARG001  does nothing at first
    return shared_compiler


def own_children() -> list[psutil.Process]:
    """Returns the compile children that exist now, zombies included."""
    return [child for child in psutil.Process().children() if is_compiler(child)]


def is_compiler(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_ZOMBIE or "convert.compile.child" in process.cmdline()


def compile_directly(workshop: Workshop, *requests: dict[str, str], time_s: float = 60) -> "subprocess.Popen[str]":
    """Starts a child and sends it requests by hand."""
    arguments = [str(workshop.data_dir), "1", str(MEMORY_BYTES), str(time_s)]
    child = subprocess.Popen(
        [sys.executable, "-m", "convert.compile.child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdin is not None
    for request in requests:
        print(json.dumps(request), file=child.stdin, flush=True)
    return child


def write_features(folder: Path) -> None:
    """Writes the features that a request by hand needs in its folder."""
    (folder / "features.json").write_bytes(msgspec.json.encode(IRIS))


def test_a_child_compiles_as_its_parent_would_whatever_a_library_prints(
    compiler: ChildCompiler, library: Library, iris_workshop: Workshop
) -> None:
    library.does(PRINTS)
    log = RunLog(iris_workshop.data_dir)
    artifacts = load_artifacts(log.folder(1), log.find(1))
    rows, features = to_rows(artifacts.dataset.features), describe_features(artifacts.dataset)
    for precision in PRECISIONS:
        compiled, here = compiler.compile(features, precision), export(artifacts.estimator, features, precision)
        assert compiled.signature == here.signature
        # Their bytes were once seen to differ; what counts is that the answers do not.
        given, expected = (Session(one.model, one.signature).run(rows) for one in (compiled, here))
        assert given == expected
    assert len(own_children()) == 1


def test_a_conversion_beyond_the_memory_limit_is_refused_and_the_child_goes_on(
    compiler: ChildCompiler, library: Library
) -> None:
    library.does(f"bytearray({MEMORY_BYTES})")
    with pytest.raises(ConvertError, match=r"^the conversion needs more memory than it may have$"):
        compiler.compile(IRIS, "float32")
    child = compiler._child
    library.does("")
    assert compiler.compile(IRIS, "float32").model
    assert compiler._child is child


def test_an_estimator_that_cannot_be_compiled_is_refused_with_the_librarys_error(
    compiler: ChildCompiler, library: Library
) -> None:
    library.does("raise RuntimeError('no such operator\\nand much more')")
    with pytest.raises(ConvertError, match=r"^skl2onnx cannot compile Pipeline: no such operator$"):
        compiler.compile(IRIS, "float32")


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("os._exit(3)", "the conversion ended with exit code 3"),
        ("raise SystemExit(4)", "the conversion ended with exit code 4"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the conversion was ended by SIGKILL"),
    ],
)
def test_a_child_that_ends_is_a_refusal_and_the_next_precision_gets_a_new_one(
    compiler: ChildCompiler, library: Library, deed: str, reason: str
) -> None:
    library.does(deed)
    with pytest.raises(ConvertError) as refusal:
        compiler.compile(IRIS, "float32")
    assert str(refusal.value) == reason
    assert not own_children()
    library.does(CALLED)
    compiler._time_s = 0.0  # the new child need not be waited for
    with pytest.raises(ConvertError, match=r"^the conversion did not end within 0 s$"):
        compiler.compile(IRIS, "float64")
    assert not own_children()
    compiler._time_s = 60


def test_a_child_that_hangs_is_a_refusal_within_the_time_limit(iris_workshop: Workshop) -> None:
    with ChildCompiler(iris_workshop.data_dir, 1, time_s=0.1) as compiler:
        first = compiler._child
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(ConvertError, match=r"^the conversion did not end within 0\.1 s$"):
            compiler.compile(IRIS, "float32")
        assert first.returncode == -signal.SIGKILL
    assert not own_children()


def test_a_child_that_was_killed_before_it_was_asked_is_replaced(iris_workshop: Workshop) -> None:
    with ChildCompiler(iris_workshop.data_dir, 1, time_s=0) as short:
        first = short._child
        first.kill()
        wait_for("end of the child", lambda: first.poll() is not None)
        with pytest.raises(ConvertError, match=r"^the conversion did not end within 0 s$"):
            short.compile(IRIS, "float32")
        assert short._child is not first
    assert not own_children()


def test_a_child_that_dies_as_it_is_asked_is_a_refusal(
    iris_workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChildCompiler(iris_workshop.data_dir, 1) as compiler:
        child = compiler._child
        child.kill()
        wait_for("end of the child", lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        # It dies between the look at it and the request.
        monkeypatch.setattr(child, "poll", lambda: None)
        with pytest.raises(ConvertError, match=r"^the conversion was ended by SIGKILL$"):
            compiler.compile(IRIS, "float32")
    assert not own_children()


def test_a_conversion_that_hangs_ends_when_its_parent_is_interrupted(iris_workshop: Workshop, library: Library) -> None:
    def interrupt() -> None:
        wait_for("hanging conversion", library.hanging)
        os.kill(os.getpid(), signal.SIGINT)

    library.does(HANGS)
    # A shell that runs the tests in the background has them pass it over.
    passed_over = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        with pytest.raises(KeyboardInterrupt), ChildCompiler(iris_workshop.data_dir, 1) as compiler:
            compiler.compile(IRIS, "float32")
    finally:
        signal.signal(signal.SIGINT, passed_over)
    interrupter.join()
    assert compiler._child.returncode == -signal.SIGKILL
    assert library.hanging() == compiler._child.pid
    assert not own_children()


def test_a_child_reads_the_run_once(workshop: Workshop, library: Library) -> None:  # noqa: ARG001  its PYTHONPATH
    with ChildCompiler(workshop.data_dir, 1) as compiler:
        assert compiler.compile(IRIS, "float32").model
        shutil.rmtree(workshop.data_dir)
        assert compiler.compile(IRIS, "float64").model


def test_a_run_whose_files_are_not_sound_is_refused_by_the_child(workshop: Workshop, library: Library) -> None:  # noqa: ARG001  its PYTHONPATH
    shutil.rmtree(workshop.data_dir / "runs")
    with ChildCompiler(workshop.data_dir, 1) as compiler, pytest.raises(ConvertError, match=ESTIMATOR_FILE):
        compiler.compile(IRIS, "float32")


def test_a_child_whose_parent_is_gone_ends_itself(iris_workshop: Workshop, library: Library, tmp_path: Path) -> None:
    library.does(HANGS)
    write_features(tmp_path)
    with compile_directly(iris_workshop, {"precision": "float32", "folder": str(tmp_path)}, time_s=0.5) as child:
        assert child.wait(60) == -signal.SIGALRM


def test_the_child_answers_each_line_with_an_empty_text_or_the_fault(
    iris_workshop: Workshop, library: Library, tmp_path: Path
) -> None:
    library.does("if calls == 2: raise MemoryError")
    write_features(tmp_path)
    requests = [
        {"precision": "float64", "folder": str(tmp_path)},
        {"precision": "float32", "folder": str(tmp_path / "nowhere")},
        {"precision": "float32", "folder": str(tmp_path)},
    ]
    with compile_directly(iris_workshop, *requests) as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        "",
        f"[Errno 2] No such file or directory: '{tmp_path}/nowhere/features.json'",
        "the conversion needs more memory than it may have",
    ]
    assert sorted(os.listdir(tmp_path)) == ["features.json", "model.onnx", "signature.json"]  # noqa: PTH208  names alone
