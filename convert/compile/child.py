"""Compiles a run's estimator in a child process that is bounded in time and memory.

Conversion runs library code on any estimator: it may never return, or take all memory there is. A child that hangs or
dies becomes a `ConvertError` with a reason. The child starts at once and imports its libraries while its parent reads
the run.

    parent --one line of JSON, features.json--> child --one line of JSON, model.onnx, signature.json--> parent
"""

import functools
import json
import os
import resource
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from convert.compile.export import Compiled, Precision, export
from convert.errors import ConvertError
from server.contract.signature import Feature, Signature
from server.errors import CorollaError
from training.artifacts import load_artifacts
from training.estimators import Estimator
from training.runlog import RunLog

TIME_S = 300.0
"""Maximum duration of one compilation; the largest forests that were tried take ten seconds."""
MEMORY_BYTES = 8 << 30
"""Maximum address space of the child."""
GRACE_S = 10.0
"""How long a child may take to exit after it has closed its pipes. It also kills itself this long after its parent
should have: no child outlives a killed parent for long."""
_FEATURES_FILE, _MODEL_FILE, _SIGNATURE_FILE = "features.json", "model.onnx", "signature.json"


class ChildCompiler:
    """The parent's side: has a child compile the estimator of one run."""

    def __init__(self, data_dir: Path, run_id: int, time_s: float = TIME_S, memory_bytes: int = MEMORY_BYTES) -> None:
        """Starts a child.

        Args:
            data_dir: The folder of the run log and the runs.
            run_id: The run.
            time_s: Maximum duration of one compilation.
            memory_bytes: Maximum address space of the child.
        """
        self._arguments = [str(data_dir), str(run_id), str(memory_bytes), str(time_s + GRACE_S)]
        self._time_s = time_s
        self._child = self._start()

    def __enter__(self) -> Self:
        """Returns the compiler itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Kills the child."""
        self._end()

    def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
        """Compiles the estimator, in a new child if the last one is gone.

        Args:
            features: The features it was fitted on.
            precision: The type of the model's numeric inputs.

        Raises:
            ConvertError: If the estimator cannot be compiled, or not within the bounds.
        """
        if self._child.poll() is not None:
            self._end()
            self._child = self._start()
        with tempfile.TemporaryDirectory(prefix="corolla-") as folder:
            # A file, since a pipe that is full would block the parent for as long as the child does not read.
            (Path(folder) / _FEATURES_FILE).write_bytes(msgspec.json.encode(features))
            fault = self._request({"precision": precision, "folder": folder})
            if fault:
                raise ConvertError(fault)
            signature = msgspec.json.decode((Path(folder) / _SIGNATURE_FILE).read_bytes(), type=Signature)
            return Compiled((Path(folder) / _MODEL_FILE).read_bytes(), signature)

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "convert.compile.child", *self._arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  our own module

    def _request(self, request: dict[str, str]) -> str:
        """Sends a request and returns the fault, or an empty string."""
        assert self._child.stdin is not None  # noqa: S101  both are pipes
        assert self._child.stdout is not None  # noqa: S101
        try:
            print(json.dumps(request), file=self._child.stdin, flush=True)
        except BrokenPipeError:
            return f"the conversion {self._end(GRACE_S)}"
        readable, _, _ = select.select([self._child.stdout], [], [], self._time_s)
        if not readable:
            self._end()
            return f"the conversion did not end within {self._time_s:g} s"
        reply = self._child.stdout.readline()
        return json.loads(reply) if reply else f"the conversion {self._end(GRACE_S)}"

    def _end(self, grace_s: float = 0) -> str:
        """Waits for the child to exit, kills it after the grace period, and returns how it ended."""
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._child.communicate()
        code = self._child.returncode
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def main(data_dir: Path, run_id: int, memory_bytes: int, time_s: float) -> None:
    """Answers requests until standard input is closed: the child's side."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    # Replies get a descriptor of their own: a library may print to standard output.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        # The default action of SIGALRM ends the process even in a library's loop.
        signal.setitimer(signal.ITIMER_REAL, time_s)
        print(json.dumps(_compile(data_dir, run_id, request["precision"], Path(request["folder"]))), file=replies)
        replies.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _compile(data_dir: Path, run_id: int, precision: Precision, folder: Path) -> str:
    """Writes the compiled model and returns the fault, or an empty string."""
    try:
        features = msgspec.json.decode((folder / _FEATURES_FILE).read_bytes(), type=tuple[Feature, ...])
        compiled = export(_load_estimator(data_dir, run_id), features, precision)
        (folder / _MODEL_FILE).write_bytes(compiled.model)
        (folder / _SIGNATURE_FILE).write_bytes(msgspec.json.encode(compiled.signature))
    except (CorollaError, OSError, sqlite3.Error) as error:
        return str(error)
    except MemoryError:
        return "the conversion needs more memory than it may have"
    return ""


@functools.cache
def _load_estimator(data_dir: Path, run_id: int) -> Estimator:
    """Loads the run once, at the first request, so that a file that is not sound is a reply like any other fault."""
    log = RunLog(data_dir)
    return load_artifacts(log.folder(run_id), log.find(run_id)).estimator


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
