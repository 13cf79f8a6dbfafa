"""Replies that are known before anybody asks: a whole response for each label, rendered again when the date changes."""

from collections.abc import Mapping
from typing import Any

from server.wire.replies import Reply, render


class PreparedReplies:
    """Responses of status 200 for a connection that is kept alive.

    Attributes:
        bodies: The body of each, by what is answered.
    """

    def __init__(self, bodies: Mapping[Any, bytes]) -> None:
        """Note the bodies.

        Args:
            bodies: By what is answered, such as a label.
        """
        self.bodies = bodies
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._responses: Mapping[Any, bytes] = {}

    def render(self, default_headers: list[tuple[bytes, bytes]]) -> Mapping[Any, bytes]:
        """Return the whole responses.

        Args:
            default_headers: uvicorn's own. It makes a new list each second, for the date.
        """
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._responses = {
                key: render(Reply(200, body), default_headers, keep_alive=True) for key, body in self.bodies.items()
            }
        return self._responses
