"""The listening socket: the address is reserved at once, the port opens when the models are sound.

Until a socket listens, the kernel refuses whoever connects. So a client never waits for a server that cannot start.
"""

import errno
import logging
import socket

from server.errors import SettingsError
from server.settings import Settings

logger = logging.getLogger("server")

BACKLOG = 2048
"""How many connections may wait to be accepted."""
_REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
_OPTIONS = {socket.AF_INET: (_REUSE,), socket.AF_INET6: (_REUSE, (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))}


def bind(settings: Settings) -> socket.socket:
    """Reserve the address that the settings name, without listening on it.

    Raises:
        SettingsError: If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        for level, option in _OPTIONS[family]:
            listener.setsockopt(level, option, 1)
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        listener.close()
        raise _cannot_listen(settings, error) from error
    return listener


def open_port(listener: socket.socket, settings: Settings) -> None:
    """Begin to accept connections; every process that shares the socket may do so.

    Raises:
        SettingsError: If another process has opened the same port since it was bound.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _cannot_listen(settings, error) from error


def is_open(listener: socket.socket) -> bool:
    """Return whether this process, or another that shares the socket, has opened the port."""
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def log_address(listener: socket.socket) -> None:
    """Log the URL that clients can use from now on."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if listener.family == socket.AF_INET6 else host
    logger.info("listening", extra={"context": {"url": f"http://{shown}:{port}"}})


def _cannot_listen(settings: Settings, error: Exception) -> SettingsError:
    in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    advice = "; choose another with --port, or 0 for a free one" if in_use else ""
    return SettingsError(f"cannot listen on --host {settings.host} --port {settings.port}: {error}{advice}")
