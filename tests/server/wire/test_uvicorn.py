"""What the limits and the lane use of uvicorn; where its internals move, this says which before anything else fails."""

import asyncio
import inspect
import re
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from server.wire.cork import Cork

METHODS = (
    "connection_made",
    "connection_lost",
    "data_received",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "send_400_response",
    "shutdown",
    "_unset_keepalive_if_required",
)
ATTRIBUTES = (
    "cycle",
    "expect_100_continue",
    "flow",
    "headers",
    "loop",
    "parser",
    "pipeline",
    "scope",
    "server_state",
    "timeout_keep_alive",
    "timeout_keep_alive_task",
    "transport",
    "url",
)
CYCLE_ATTRIBUTES = (
    *("disconnected", "keep_alive", "message_event", "response_complete", "response_started"),
    *("transport", "waiting_for_100_continue"),
)
MOVED = "uvicorn {} has no {} any more, which server/wire/limits.py and server/api/lane.py use: see them"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_the_protocol_has_what_the_limits_and_the_lane_use(loop: asyncio.AbstractEventLoop) -> None:
    protocol = HttpToolsProtocol(uvicorn.Config(app=lambda: None, log_config=None), ServerState(), {}, loop)
    protocol.on_message_begin()
    for name in (*METHODS, *ATTRIBUTES):
        assert hasattr(protocol, name), MOVED.format(uvicorn.__version__, name)
    assert hasattr(protocol.server_state, "default_headers"), MOVED.format(uvicorn.__version__, "default_headers")
    for name in ("pause_reading", "resume_reading", "write_paused"):
        assert hasattr(FlowControl(asyncio.Transport()), name), MOVED.format(uvicorn.__version__, f"flow.{name}")


def test_the_protocol_is_made_with_the_same_arguments() -> None:
    parameters = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert parameters == ["self", "config", "server_state", "app_state", "_loop"], MOVED.format(
        uvicorn.__version__, "such constructor"
    )


def test_a_cycle_asks_of_its_transport_what_the_cork_has() -> None:
    asked = set(re.findall(r"self\.transport\.(\w+)", inspect.getsource(RequestResponseCycle)))
    assert asked <= {name for name in dir(Cork) if not name.startswith("_")}, MOVED.format(uvicorn.__version__, asked)


@pytest.mark.parametrize("name", CYCLE_ATTRIBUTES)
def test_a_cycle_has_what_the_lanes_ticket_stands_in_for_and_the_limits_set(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(RequestResponseCycle.__init__), MOVED.format(uvicorn.__version__, name)
