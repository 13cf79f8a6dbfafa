"""The server's process: flags and variables -> a listening socket; SIGTERM drains it and it exits 0."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import uvicorn

from server import log
from server.app import Application, create_app
from server.errors import NoSoundVersionError, SettingsError
from server.guard import Guard
from server.lane import Lane
from server.settings import Settings, read_settings

logger = logging.getLogger("server")

GRACE_S = 8
"""How long open requests may take to end after SIGTERM, in seconds; podman, for one, kills after 10."""

BACKLOG = 2048
"""How many connections may wait to be accepted."""


class Server(uvicorn.Server):
    """uvicorn's server of one process, which tells probes that it stops before it does."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal to stop."""
        self.config.loaded_app.drain()
        super().handle_exit(sig, frame)


def main(arguments: Sequence[str]) -> None:
    """Serves until a signal.

    Raises:
        SystemExit: With 0 after SIGTERM or SIGINT, 1 where nothing can be served, 2 for a bad setting.
    """
    log.configure()
    # uvicorn raises the signal that stopped it once more after it has drained; this makes of it a plain exit.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    try:
        settings = read_settings(arguments, os.environ)
        application = create_app(settings)
    except SettingsError as error:
        _refuse(f"bad setting: {error}", 2)
    except NoSoundVersionError as error:
        _refuse(str(error), 1)
    with listen(settings) as listener:
        Server(make_config(application, settings)).run(sockets=[listener])


def listen(settings: Settings) -> socket.socket:
    """Opens the socket that the settings name.

    Raises:
        SystemExit: With 2 where it cannot be opened.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        _refuse(f"bad setting: cannot listen on --host {host} --port {port}: {error}", 2)
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    logger.info("listening", extra={"facts": {"url": f"http://{shown}:{listener.getsockname()[1]}"}})
    return listener


def make_config(application: Application, settings: Settings) -> uvicorn.Config:
    """Tells uvicorn how to serve the application."""
    return uvicorn.Config(
        application,
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


def _refuse(reason: str, code: int) -> NoReturn:
    logger.error(reason)
    sys.exit(code)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
