"""Settings and a socket -> processes that serve; each tells probes that it stops before it does.

With several workers the first process only watches over them: each loads the models for itself and serves from the
same socket, and one that dies is replaced. What a worker is made of cannot stand in ``__main__``: its name differs
there.
"""

import functools
import gc
import logging
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
from uvicorn.supervisors import Multiprocess

from server.api.lane import Lane
from server.app import Application, create_app
from server.errors import NoSoundVersionError
from server.host.sizing import ResourcePlan
from server.settings import Settings
from server.telemetry import log
from server.telemetry.worker_counts import Exchange
from server.wire.limits import Guard

logger = logging.getLogger("server")

GRACE_S = 8
"""How long open requests may take to end after SIGTERM, in seconds; podman, for one, kills after 10."""


YOUNG_OBJECTS = 20_000
"""How many new objects there may be before the collector looks at them; its own 700 are a few dozen ASGI requests."""


class Config(uvicorn.Config):
    """uvicorn's configuration, in each process that it serves from."""

    def configure_logging(self) -> None:
        """Sets up this process; uvicorn calls it at the beginning of each worker."""
        super().configure_logging()
        configure()


def make_application(settings: Settings, plan: ResourcePlan, exchange: Exchange | None = None) -> Application:
    """Makes the application of this process, which tells probes that it stops before uvicorn, which calls this, does.

    Raises:
        NoSoundVersionError: If nothing can be served.
    """
    application = create_app(settings, plan, exchange)
    # All that is there by now stays: the collector need not go through it again and again while requests wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, functools.partial(_drain, application, signal.getsignal(number)))
    return application


def make_worker(settings: Settings, plan: ResourcePlan, exchange: Exchange) -> Application:
    """Does as `make_application`, in a process that is one of several.

    Raises:
        SystemExit: With what tells uvicorn's supervisor not to try again, where nothing can be served.
    """
    try:
        return make_application(settings, plan, exchange)
    except NoSoundVersionError as error:
        logger.error(str(error))  # noqa: TRY400  the user is owed the reason alone
        sys.exit(STARTUP_FAILURE)


def serve(settings: Settings, plan: ResourcePlan, listener: socket.socket) -> None:
    """Serves by this process until a signal.

    Raises:
        NoSoundVersionError: If nothing can be served.
    """
    config = make_config(functools.partial(make_application, settings, plan), settings, plan.workers)
    uvicorn.Server(config).run(sockets=[listener])


def serve_by_workers(settings: Settings, plan: ResourcePlan, listener: socket.socket) -> None:
    """Serves by several processes until a signal.

    Raises:
        SystemExit: With 1 where nothing can be served.
    """
    with tempfile.TemporaryDirectory(prefix="corolla-") as folder:
        exchange = Exchange(Path(folder), os.getpid())
        config = make_config(functools.partial(make_worker, settings, plan, exchange), settings, plan.workers)
        supervisor = Multiprocess(config, [listener])
        supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        sys.exit(1)


def make_config(factory: Callable[[], Application], settings: Settings, workers: int) -> uvicorn.Config:
    """Tells uvicorn how to serve the application that it is to have made."""
    return Config(
        factory,
        factory=True,
        workers=workers,
        loop="uvloop",
        http=Guard if settings.no_lane else Lane,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def configure() -> None:
    """Has this process log as all do, and end with 0 on SIGTERM and SIGINT."""
    log.configure()
    # uvicorn raises the signal that stopped it once more after it has drained; this makes of it a plain exit.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)


def _drain(application: Application, stop: Any, number: int, frame: FrameType | None) -> None:
    application.drain()
    stop(number, frame)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
