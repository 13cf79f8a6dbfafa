"""The baseline of the benchmark: an ASGI application that reads the body and answers a constant."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

BODY = json.dumps({"output": "Iris-virginica", "model_name": os.environ.get("MODEL_NAME", "log_reg_1")}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer every HTTP request with the constant."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
