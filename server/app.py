"""Wires the parts of the server together: settings become an ASGI application."""

import asyncio
import logging
import signal
from typing import Any, cast

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.utils.path import normalize_path

from server.api.asgi import respond
from server.api.endpoint import RouteTable
from server.api.lane import ROUTES
from server.api.pages import Readiness, make_page_routes
from server.api.predict import make_endpoints
from server.api.service import Service, open_service
from server.host.cgroup import read_resident_bytes
from server.host.sizing import ResourcePlan, Sizes, make_sizes
from server.models.catalog import load_catalog
from server.settings import Settings
from server.telemetry.access_log import AccessLog
from server.telemetry.metrics import Metrics
from server.telemetry.worker_counts import WorkerCounts
from server.wire.connections import ConnectionLimits, ConnectionRegistry
from server.wire.limits import REGISTRY
from server.wire.offload import Offload
from server.wire.replies import refusal_reason, reply_to

logger = logging.getLogger(__name__)

SCANTY_BYTES = 16 * 10**6
"""With less free memory than this, a warning is logged."""


class Application:
    """The ASGI application, and what the connections of its process share with it."""

    def __init__(self, settings: Settings, plan: ResourcePlan, worker_counts: WorkerCounts | None) -> None:
        """Load every model and wire the routes to them.

        Args:
            settings: How to serve.
            plan: How the work is spread.
            worker_counts: Shares the counters of the workers, if there are several.

        Raises:
            NoSoundVersionError: If the models directory has nothing that can be served.
        """
        if settings.trusted_keys is not None:
            logger.info("signed versions only", extra={"context": {"why": str(settings.trusted_keys)}})
        catalog = load_catalog(settings.models_dir, plan.threads, settings.trusted_keys)
        sizes = make_sizes(settings, plan, read_resident_bytes(), len(catalog.models))
        self._services = [
            open_service(model, settings, sizes.queue_rows(model.manifest.signature))
            for model in catalog.models.values()
        ]
        self._worker_counts = worker_counts
        self._readiness = Readiness(catalog)
        _log_sizes(sizes, self._services)
        self._registry = ConnectionRegistry(
            ConnectionLimits(settings.max_body_bytes, sizes.bodies_bytes), self._every_second
        )
        self._metrics = Metrics(
            {service.name: service.metrics for service in self._services},
            worker_counts.read_others if worker_counts else tuple,
            self._registry.refusals,
        )
        self._offload = Offload(self._registry)
        self._routes = RouteTable(make_endpoints(self._services), access_log=settings.access_log)
        coalescing = {service.name: service.about for service in self._services}
        litestar = Litestar(
            route_handlers=make_page_routes(catalog, coalescing, self._readiness, self._metrics.text),
            exception_handlers={Exception: self._answer_error},
            on_startup=[self._registry.start],
            on_shutdown=[self._stop],
            openapi_config=None,
            logging_config=None,
        )
        self._litestar = litestar
        self._app: ASGIApp = AccessLog(self._route) if settings.access_log else self._route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; at the start of the process, share its state with the connections."""
        if scope["type"] != ScopeType.HTTP:  # a lifespan, since uvicorn is told to serve no websockets
            scope["state"] |= {REGISTRY: self._registry, ROUTES: self._routes}
        await self._app(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its endpoint, by the table that the fast path uses too, or else to the framework."""
        path = normalize_path(scope["path"]) if scope["type"] == ScopeType.HTTP else ""
        if endpoint := self._routes.endpoints.get(path.encode()):
            await respond(endpoint, cast(HTTPScope, scope), receive, send, self._offload)
        else:
            await self._litestar(scope, receive, send)

    def _answer_error(self, _request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Answer and count what no model has been asked: an unknown route, a page that failed."""
        reply = reply_to(error)
        self._registry.refusals[reply.status, refusal_reason(error)] += 1
        headers = {name.decode(): value.decode() for name, value in reply.headers}
        return Response(reply.body, status_code=reply.status, media_type="application/json", headers=headers)

    def drain(self) -> None:
        """Tell probes that the process is about to stop."""
        self._readiness.draining = True

    def _every_second(self) -> None:
        if self._worker_counts is not None and self._worker_counts.is_orphaned():
            logger.error("the supervisor is gone: this worker stops")
            signal.raise_signal(signal.SIGTERM)
        self._publish_counts()

    def _publish_counts(self) -> None:
        if self._worker_counts is None:
            return
        try:
            self._worker_counts.publish(self._metrics.snapshot())
        except OSError as error:
            logger.warning("the other workers cannot be told what was counted: %s", error)

    async def _stop(self) -> None:
        await asyncio.gather(*(service.coalescer.close() for service in self._services))
        self._offload.close()
        self._registry.stop()
        self._publish_counts()


def _log_sizes(sizes: Sizes, services: list[Service]) -> None:
    """Log the host's limits, every size that follows from them, and the reason for each."""
    plan = sizes.plan
    facts = {
        "cpu_quota": plan.cores.quota,
        "cpu_affinity": plan.cores.affinity,
        "memory_mb": plan.memory_bytes // 10**6,
        "taken_mb": sizes.resident_bytes // 10**6,
        "left_mb": sizes.left_bytes // 10**6,
        "workers": plan.workers,
        "session_threads": plan.threads,
        "max_queue_rows": {service.name: service.coalescer.limits.max_queue_rows for service in services},
        "max_batch_rows": {service.name: service.coalescer.limits.max_batch_rows for service in services},
        "bodies_mb": sizes.bodies_bytes // 10**6,
        "why": sizes.why,
    }
    logger.log(logging.INFO if sizes.left_bytes >= SCANTY_BYTES else logging.WARNING, "sized", extra={"context": facts})
