"""Settings -> ASGI application: the one place where the server's parts are wired together."""

import asyncio
import logging
from typing import Any

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from server.access_log import AccessLog
from server.catalog import load_catalog
from server.desk import open_desk
from server.guard import WATCH
from server.host import read_cores
from server.lane import HOT_ROUTES, HotRoute
from server.metrics import Metrics
from server.pages import Readiness, make_page_routes
from server.replies import reply_to
from server.routes import make_predict_routes
from server.settings import Settings
from server.watch import ConnectionLimits, Watch

logger = logging.getLogger(__name__)


class Application:
    """The ASGI application, and what the connections of its process share with it."""

    def __init__(self, settings: Settings) -> None:
        """Loads every model and wires the routes to them.

        Raises:
            NoSoundVersionError: If the models directory has nothing that can be served.
        """
        cores = read_cores()
        facts = {"affinity": cores.affinity, "quota": cores.quota, "session_threads": cores.usable}
        logger.info("cores", extra={"facts": facts})
        catalog = load_catalog(settings.models_dir, cores.usable)
        self._metrics = Metrics()
        self._desks = [open_desk(model, settings, self._metrics) for model in catalog.models.values()]
        self._readiness = Readiness(catalog)
        self._watch = Watch(ConnectionLimits(settings.max_body_bytes), self._count)
        self._hot_routes = {
            f"/{desk.name}/predict".encode(): HotRoute(desk, access_log=settings.access_log) for desk in self._desks
        }
        litestar = Litestar(
            route_handlers=[*make_page_routes(catalog, self._readiness, self._tell), *make_predict_routes(self._desks)],
            exception_handlers={Exception: _answer_error},
            on_startup=[self._watch.start],
            on_shutdown=[self._stop],
            openapi_config=None,
            logging_config=None,
        )
        self._app: ASGIApp = AccessLog(litestar) if settings.access_log else litestar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; at the beginning of the process's life, shares its state with the connections."""
        if scope["type"] != ScopeType.HTTP:  # a lifespan, since uvicorn is told to serve no websockets
            scope["state"] |= {WATCH: self._watch, HOT_ROUTES: self._hot_routes}
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Tells probes that the process is about to stop."""
        self._readiness.draining = True

    def _count(self) -> None:
        for desk in self._desks:
            desk.metrics.hand_over(desk.coalescer.statistics().queued_rows)

    def _tell(self) -> bytes:
        self._count()
        return self._metrics.text()

    async def _stop(self) -> None:
        await asyncio.gather(*(desk.coalescer.close() for desk in self._desks))
        self._watch.stop()
        self._count()


def create_app(settings: Settings) -> Application:
    """Makes the application of one process.

    Raises:
        NoSoundVersionError: If the models directory has nothing that can be served.
    """
    return Application(settings)


def _answer_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    reply = reply_to(error)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, status_code=reply.status, media_type="application/json", headers=headers)
