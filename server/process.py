"""The processes of a server: one that serves by itself, or a supervisor and several workers.

The port opens once a process has loaded sound models; where nothing is sound, no port opens and the exit code is 1.
Each worker loads the models for itself and accepts connections from the same socket. A worker that dies is replaced.

What a worker is made of cannot stand in ``__main__``: its name differs there.
"""

import functools
import gc
import logging
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from server.errors import NoSoundVersionError, SettingsError
from server.host.sizing import ResourcePlan
from server.listener import is_open, log_address, open_port
from server.settings import Settings
from server.telemetry import log
from server.telemetry.worker_counts import WorkerCounts

logger = logging.getLogger("server")

BAD_SETTING = 2
"""The exit code for a setting that cannot be used, such as a port that another process has."""
GRACE_S = 8
"""How long open requests may take to end after SIGTERM, in seconds; podman, for one, kills after 10."""
YOUNG_OBJECTS = 20_000
"""How many new objects there may be before the collector looks at them; its own 700 are a few dozen ASGI requests."""
_POLL_S = 0.02
"""How often a supervisor looks whether its first worker has opened the port."""


class Config(uvicorn.Config):
    """uvicorn's configuration, in each process that it serves from."""

    def configure_logging(self) -> None:
        """Set up this process; uvicorn calls it at the beginning of each worker."""
        super().configure_logging()
        configure()


class Supervisor(Multiprocess):
    """uvicorn's supervisor, which starts one worker first, and the others once that one serves.

    So a repository in which nothing is sound is loaded once, however many workers there are to be.
    """

    def init_processes(self) -> None:
        """Start the workers.

        Raises:
            SystemExit: If the first worker ends before it has opened the port: with 2 for a bad setting, else with 1.
        """
        (listener,) = self.sockets
        first = self._start_worker()
        while not is_open(listener):
            multiprocessing.connection.wait([first.process.sentinel], _POLL_S)
            if {signal.SIGINT, signal.SIGTERM} & set(self.signal_queue):
                return  # `run` stops then
            if not first.process.is_alive():
                _log_early_end(first)
                sys.exit(BAD_SETTING if first.exitcode == BAD_SETTING else 1)
        log_address(listener)
        for _ in range(self.processes_num - 1):
            self._start_worker()

    def _start_worker(self) -> Process:
        worker = Process(self.config, self.sockets)
        worker.start()
        self.processes.append(worker)
        return worker


def serve(settings: Settings, plan: ResourcePlan, listener: socket.socket) -> None:
    """Serve by this process until a signal.

    Raises:
        NoSoundVersionError: If nothing can be served.
        SettingsError: If the port cannot be opened.
    """

    def make() -> Any:
        application = make_application(settings, plan)
        open_port(listener, settings)
        log_address(listener)
        return application

    uvicorn.Server(make_config(make, settings, plan.workers)).run(sockets=[listener])


def serve_by_workers(settings: Settings, plan: ResourcePlan, listener: socket.socket) -> None:
    """Serve by several processes until a signal.

    Raises:
        SystemExit: With 1 if nothing can be served, 2 if the port cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="corolla-") as folder:
        worker_counts = WorkerCounts(Path(folder), os.getpid())
        make = functools.partial(make_worker, settings, plan, worker_counts, listener)
        supervisor = Supervisor(make_config(make, settings, plan.workers), [listener])
        supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        sys.exit(1)


def make_worker(settings: Settings, plan: ResourcePlan, worker_counts: WorkerCounts, listener: socket.socket) -> Any:
    """Make the application of a worker and open the port.

    Raises:
        SystemExit: With a code that tells the supervisor why, if it cannot serve.
    """
    try:
        application = make_application(settings, plan, worker_counts)
        open_port(listener, settings)
    except NoSoundVersionError as error:
        logger.error(str(error))  # noqa: TRY400  the user is owed the reason alone
        sys.exit(STARTUP_FAILURE)
    except SettingsError as error:
        logger.error("bad setting: %s", error)  # noqa: TRY400  as above
        sys.exit(BAD_SETTING)
    return application


def make_application(settings: Settings, plan: ResourcePlan, worker_counts: WorkerCounts | None = None) -> Any:
    """Load the models and make the ASGI application of this process.

    On SIGTERM and SIGINT it tells probes that it stops before uvicorn, which calls this, begins to drain.

    Raises:
        NoSoundVersionError: If nothing can be served.
    """
    # A supervisor serves nothing: without these imports it starts in a third of the time and takes half the memory.
    from server.app import Application  # noqa: PLC0415

    application = Application(settings, plan, worker_counts)
    # All that is there by now stays: the collector need not go through it again and again while requests wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, functools.partial(_drain, application.drain, signal.getsignal(number)))
    return application


def make_config(factory: Callable[[], Any], settings: Settings, workers: int) -> uvicorn.Config:
    """Return uvicorn's settings for the application that a factory makes."""
    return Config(
        factory,
        factory=True,
        workers=workers,
        loop="uvloop",
        http="server.wire.limits:LimitedProtocol" if settings.no_lane else "server.api.lane:Lane",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=GRACE_S,
    )


def configure() -> None:
    """Make this process log as all do, and exit with 0 on SIGTERM and SIGINT."""
    log.configure()
    # uvicorn raises the signal that stopped it once more after it has drained; this makes of it a plain exit.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)


def _log_early_end(worker: Process) -> None:
    """Log how a worker ended that has not said so itself, such as one that the kernel killed for its memory."""
    if worker.exitcode not in {STARTUP_FAILURE, BAD_SETTING}:
        logger.error(
            "a worker ended before it could serve", extra={"context": {"pid": worker.pid, "exit_code": worker.exitcode}}
        )


def _drain(drain: Callable[[], None], stop: Any, number: int, frame: FrameType | None) -> None:
    drain()
    stop(number, frame)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
