"""Real child processes that start at once: they are forked from a forkserver that has imported the rooms already."""

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess

END_S = 60

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["training.cli", "convert.cli"])


def fork(command: Callable[[Sequence[str]], int], *arguments: str) -> ForkServerProcess:
    """Start a command of the project; its exit code becomes the exit code of the process."""
    return _start(_run, command, arguments)


def fork_with_little_disk(
    command: Callable[[Sequence[str]], int], *arguments: str, file_bytes: int, deadly: bool = False
) -> ForkServerProcess:
    """Start a command with a limit of the file size: a write beyond it fails or, if `deadly`, ends the process."""
    # Python itself ignores SIGXFSZ, so that a write fails with EFBIG instead.
    action = signal.SIG_DFL if deadly else signal.SIG_IGN
    return _start(_run_with_little_disk, command, arguments, file_bytes, action)


def end(process: ForkServerProcess) -> int | None:
    """Wait for the end, and return the exit code (negative: the signal; None: it has not ended)."""
    process.join(END_S)
    return process.exitcode


def _start(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _run(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    sys.exit(command(arguments))


def _run_with_little_disk(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str], file_bytes: int, action: signal.Handlers
) -> None:
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(command(arguments))
