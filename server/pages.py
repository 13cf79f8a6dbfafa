"""The pages about the server: index, liveness, readiness, OpenAPI document and its reader; Catalog -> bytes.

What they say is made once at start. They know nothing of predictions.
"""

import http
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import swagger_ui_bundle
from litestar import Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.router import Router
from litestar.static_files import create_static_files_router

from server.catalog import Catalog
from server.openapi import make_document

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


def make_page_routes(catalog: Catalog) -> Sequence[HTTPRouteHandler | Router]:
    """Makes the routes that tell about the server, all of them GET and HEAD."""
    served = {name: model.manifest.version for name, model in catalog.models.items()}
    refused = [
        {"model": refusal.name, "version": refusal.version, "reason": refusal.reason} for refusal in catalog.refusals
    ]
    readiness = {"status": "degraded" if refused else "ready", "models": served, "refused": refused}
    return [
        _json_page("/", {"message": "Corolla: POST a row to /<model>/predict; /docs tells more.", "models": served}),
        _json_page("/healthz", {"status": "alive"}),
        _json_page("/readyz", readiness),
        _json_page("/openapi.json", make_document(catalog)),
        _page("/docs", _DOCS, "text/html"),
        _page("/docs/page.js", _DOCS_SCRIPT, "text/javascript"),
        create_static_files_router(path="/docs/assets", directories=[Path(str(swagger_ui_bundle.swagger_ui_path))]),
    ]


def _json_page(path: str, content: Any) -> HTTPRouteHandler:
    return _page(path, msgspec.json.encode(content), "application/json")


def _page(path: str, content: bytes, media_type: str) -> HTTPRouteHandler:
    @route(path, http_method=["GET", "HEAD"], status_code=http.HTTPStatus.OK, sync_to_thread=False)
    def page() -> Response[bytes]:
        return Response(content, media_type=media_type)

    return page
