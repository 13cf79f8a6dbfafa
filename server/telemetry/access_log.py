"""ASGI middleware that logs one line a request."""

import logging
import time
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseBodyEvent, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AccessLog:
    """Logs method, path, status, bytes answered and duration of every HTTP request once it has ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and log it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        status: int | None = None
        answered_bytes = 0

        async def note(message: Message) -> None:
            nonlocal status, answered_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answered_bytes += len(cast(HTTPResponseBodyEvent, message)["body"])
            await send(message)

        start_s = time.perf_counter()
        try:
            await self._app(scope, receive, note)
        finally:
            log_request(scope["method"], scope["path"], status, answered_bytes, time.perf_counter() - start_s)


def log_request(method: str, path: str, status: int | None, answered_bytes: int, duration_s: float) -> None:
    """Log one request; a status of null means that no answer was begun."""
    context = {
        "method": method,
        "path": path,
        "status": status,
        "bytes": answered_bytes,
        "duration_us": round(duration_s * 1e6),
    }
    logger.info("request", extra={"context": context})
