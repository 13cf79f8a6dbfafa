"""The routes about the server: index, liveness, readiness, metrics, OpenAPI document and Swagger UI.

Most response bodies are made once, at start.
"""

import functools
import http
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import swagger_ui_bundle
from litestar import Response, route
from litestar.handlers import HTTPRouteHandler

from server.api.openapi import make_document
from server.models.catalog import Catalog, Model
from server.models.repository import REPORT_FILE, read_report
from server.telemetry.metrics import CONTENT_TYPE

_DOCS = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Corolla</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<div id="ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/page.js"></script>
</html>
"""
_DOCS_SCRIPT = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


_ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class Readiness:
    """The readiness probe (``/readyz``) of this process.

    Attributes:
        draining: True if the process is about to stop (graceful shutdown).
    """

    def __init__(self, catalog: Catalog) -> None:
        self.draining = False
        self._served = _served(catalog)
        self._refused = [
            {"model": refusal.name, "version": refusal.version, "reason": refusal.reason}
            for refusal in catalog.refusals
        ]

    def respond(self) -> Response[bytes]:
        """Return 200 with the served and refused versions, or 503 once the process is about to stop."""
        status = "draining" if self.draining else "degraded" if self._refused else "ready"
        body = {"status": status, "models": self._served, "refused": self._refused}
        code = http.HTTPStatus.SERVICE_UNAVAILABLE if self.draining else http.HTTPStatus.OK
        return Response(msgspec.json.encode(body), status_code=code, media_type="application/json")


def make_page_routes(
    catalog: Catalog, coalescing: Mapping[str, str], readiness: Readiness, render_metrics: Callable[[], bytes]
) -> Sequence[HTTPRouteHandler]:
    """Make the routes about the server, all of them GET and HEAD.

    Args:
        catalog: The loaded models.
        coalescing: A description of how the requests of each model are coalesced, by the model's name.
        readiness: The readiness of the process.
        render_metrics: Renders the metrics as Prometheus text.
    """
    index = {"message": "Corolla: POST a row to /<model>/predict; /docs tells more.", "models": _served(catalog)}
    return [
        _json_page("/", index),
        _json_page("/healthz", {"status": "alive"}),
        _page("/readyz", readiness.respond),
        _page("/metrics", lambda: Response(render_metrics(), media_type=CONTENT_TYPE)),
        _json_page("/openapi.json", make_document(catalog, coalescing)),
        _page("/docs", lambda: Response(_DOCS, media_type="text/html")),
        _page("/docs/page.js", lambda: Response(_DOCS_SCRIPT, media_type="text/javascript")),
        *(_asset(name, media_type) for name, media_type in _ASSETS.items()),
        *(_report(model) for model in catalog.models.values() if REPORT_FILE in model.manifest.files),
    ]


def _served(catalog: Catalog) -> dict[str, int]:
    return {name: model.manifest.version for name, model in catalog.models.items()}


def _report(model: Model) -> HTTPRouteHandler:
    """Make the route of a version's report.

    Each request reads the file and verifies its hash, since it may be too large to keep. This is done on a thread of
    the event loop's default executor, which runs no session.
    """

    def respond() -> Response[bytes]:
        return Response(read_report(model.folder, model.manifest), media_type="text/html")

    return _page(f"/{model.manifest.name}/report", respond, by_thread=True)


def _json_page(path: str, content: Any) -> HTTPRouteHandler:
    body = msgspec.json.encode(content)
    return _page(path, lambda: Response(body, media_type="application/json"))


def _asset(name: str, media_type: str) -> HTTPRouteHandler:
    file = Path(str(swagger_ui_bundle.swagger_ui_path)) / name
    read = functools.cache(file.read_bytes)  # one copy in memory for all requests
    return _page(f"/docs/assets/{name}", lambda: Response(read(), media_type=media_type))


def _page(path: str, respond: Callable[[], Response[bytes]], *, by_thread: bool = False) -> HTTPRouteHandler:
    @route(path, http_method=["GET", "HEAD"], status_code=http.HTTPStatus.OK, sync_to_thread=by_thread)
    def page() -> Response[bytes]:
        return respond()

    return page
