"""A run and a precision -> a compiled model, in a process of its own that is bounded in time and memory.

Conversion is a library's work on any estimator: it may never return, or take all memory there is. So it happens in a
child, and one that hangs or dies is a refusal with a reason. The child is begun at once, and loads its libraries while
its parent does.

    parent --one line of JSON--> child --one line of JSON, and a file--> parent
"""

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

import attrs
import msgspec

from convert.compile.export import Compiled, Precision, export
from convert.errors import ConvertError
from server.contract.signature import Signature
from server.errors import CorollaError
from training.artifacts import load_artifacts
from training.runlog import RunLog

TIME_S = 300.0
"""How long a conversion may take; the largest forests that were tried take ten seconds."""
MEMORY_BYTES = 8 << 30
"""How much address space it may have."""
GRACE_S = 10.0
"""How long a child may take to be gone once it has let go of its pipes, and how much longer than its parent it waits
before it ends itself: a parent that was killed leaves no child behind."""
_MODEL_FILE, _SIGNATURE_FILE = "model.onnx", "signature.json"


class Compiler:
    """The parent's side: compiles one run's estimator."""

    def __init__(self, data_dir: Path, run_id: int, time_s: float = TIME_S, memory_bytes: int = MEMORY_BYTES) -> None:
        """Begins a child.

        Args:
            data_dir: Where the log and the runs are.
            run_id: The run.
            time_s: How long one compilation may take.
            memory_bytes: How much address space it may have.
        """
        self._arguments = [str(data_dir), str(run_id), str(memory_bytes), str(time_s + GRACE_S)]
        self._time_s = time_s
        self._child = self._begin()

    def __enter__(self) -> Self:
        """Gives itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the child."""
        self._end()

    def compile(self, precision: Precision) -> Compiled:
        """Compiles.

        Raises:
            ConvertError: If the estimator cannot be compiled, or not within the bounds.
        """
        if self._child.poll() is not None:
            self._end()
            self._child = self._begin()
        with tempfile.TemporaryDirectory(prefix="corolla-") as folder:
            outcome = self._ask({"precision": precision, "folder": folder})
            if outcome:
                raise ConvertError(outcome)
            signature = msgspec.json.decode((Path(folder) / _SIGNATURE_FILE).read_bytes(), type=Signature)
            return Compiled((Path(folder) / _MODEL_FILE).read_bytes(), signature)

    def _begin(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "convert.compile.child", *self._arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  our own module

    def _ask(self, request: dict[str, str]) -> str:
        """Gives what went wrong in the child, or nothing."""
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
        """Ends the child, unless it does so itself within its grace, and says how it ended."""
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._child.communicate()
        code = self._child.returncode
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def main(data_dir: Path, run_id: int, memory_bytes: int, time_s: float) -> None:
    """Answers requests for as long as there are any: the child's side."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    # Whatever a library prints is not an answer.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        # What SIGALRM does by default no library's loop can put off.
        signal.setitimer(signal.ITIMER_REAL, time_s)
        print(json.dumps(_compile(data_dir, run_id, request["precision"], Path(request["folder"]))), file=replies)
        replies.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _compile(data_dir: Path, run_id: int, precision: Precision, folder: Path) -> str:
    try:
        log = RunLog(data_dir)
        left = load_artifacts(log.folder(run_id), log.find(run_id))
        compiled = export(left.estimator, left.dataset, precision)
        (folder / _MODEL_FILE).write_bytes(compiled.model)
        (folder / _SIGNATURE_FILE).write_bytes(msgspec.json.encode(attrs.asdict(compiled.signature)))
    except (CorollaError, OSError, sqlite3.Error) as error:
        return str(error)
    except MemoryError:
        return "the conversion needs more memory than it may have"
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
