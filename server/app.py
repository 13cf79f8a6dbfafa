"""Settings -> ASGI application: the one place where the server's parts are wired together."""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.types import ASGIApp

from server.access_log import AccessLog
from server.catalog import load_catalog
from server.coalescer import Coalescer
from server.pages import make_page_routes
from server.replies import reply_to
from server.routes import make_predict_routes
from server.settings import Settings


def create_app(settings: Settings) -> ASGIApp:
    """Loads every model and wires the routes to them.

    Raises:
        NoSoundVersionError: If the models directory has nothing that can be served.
    """
    catalog = load_catalog(settings.models_dir)
    coalescers = {name: Coalescer(model.session.run, settings.max_batch_rows) for name, model in catalog.models.items()}
    app = Litestar(
        route_handlers=[
            *make_page_routes(catalog),
            *make_predict_routes(catalog, coalescers, settings.max_body_bytes),
        ],
        exception_handlers={Exception: _answer_error},
        openapi_config=None,
        logging_config=None,
    )
    return AccessLog(app) if settings.access_log else app


def _answer_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    reply = reply_to(error)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, status_code=reply.status, media_type="application/json", headers=headers)
