"""The server's process: flags and variables -> a listening socket; SIGTERM drains it and it exits 0."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import uvicorn

from server import log
from server.app import create_app
from server.errors import NoSoundVersionError, SettingsError
from server.settings import Settings, read_settings

logger = logging.getLogger("server")

GRACE_S = 8
"""How long open requests may take to end after SIGTERM, in seconds; podman, for one, kills after 10."""


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
        config = make_config(read_settings(arguments, os.environ))
    except SettingsError as error:
        _refuse(f"bad setting: {error}", 2)
    except NoSoundVersionError as error:
        _refuse(str(error), 1)
    uvicorn.Server(config).run()


def make_config(settings: Settings) -> uvicorn.Config:
    """Loads the application and tells uvicorn how to serve it."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
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
