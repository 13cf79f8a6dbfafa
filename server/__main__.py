"""The server's command: flags and variables -> a socket and what serves from it; SIGTERM drains it and it exits 0."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from server.errors import NoSoundVersionError, SettingsError
from server.host.sizing import read_plan
from server.listener import bind
from server.process import configure, serve, serve_by_workers
from server.settings import read_settings

logger = logging.getLogger("server")


def main(arguments: Sequence[str]) -> None:
    """Serve until a signal.

    Raises:
        SystemExit: With 0 after SIGTERM or SIGINT, 1 if nothing can be served, 2 for a bad setting.
    """
    if arguments[:1] == ["doctor"]:
        from server.doctor import cli  # noqa: PLC0415  a server loads nothing of it

        sys.exit(cli.main(arguments[1:]))
    if arguments[:1] == ["load"]:
        from server.bundle.cli import main as load_bundle  # noqa: PLC0415  as the doctor

        sys.exit(load_bundle(arguments[1:]))
    configure()
    try:
        settings = read_settings(arguments, os.environ)
        plan = read_plan(settings)
        with bind(settings) as listener:
            (serve if plan.workers == 1 else serve_by_workers)(settings, plan, listener)
    except SettingsError as error:
        _refuse(f"bad setting: {error}", 2)
    except NoSoundVersionError as error:
        _refuse(str(error), 1)


def _refuse(reason: str, code: int) -> NoReturn:
    logger.error(reason)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
