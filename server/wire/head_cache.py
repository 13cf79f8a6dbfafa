"""Caches what the parser made of a request's head, by the head's bytes: a client sends the same head again and again.

What a head means depends on its bytes alone where the parser expects a new request. So a head that was parsed once
need not be parsed again. A head is cached the second time it is seen, so that heads that never repeat do not push out
those that do.

Gateways put headers of their own into each request, such as ``traceparent`` or ``X-Request-Id``. Lines of headers that
nothing here reads (`server.wire.headers`) are left out of the cache's keys.
"""

import re
from typing import Generic, TypeVar

from server.wire.headers import FRAMING, READ

ENDING = b"\r\n\r\n"
MAX_HEADS = 1024
"""The most heads that are cached. When the cache is full it is cleared; each client then pays one more parsing."""
MAX_HEAD_BYTES = 2048
"""The longest head that is cached, so that a full cache takes two mebibytes."""
_UNREAD_LINE = re.compile(
    rb"(?<=[^\r\n])\r\n(?!(?:%s):)[-!#$%%&'*+.^_`|~0-9a-z]+:[\t\x20-\x7e\x80-\xff]*(?=\r\n[^\t ])"
    % b"|".join(sorted(READ | FRAMING)),
    re.IGNORECASE,
)
"""A whole, valid line (RFC 9112, section 5) of a header that nothing reads.

It stands behind another line, and is not continued on the next line. Without it a head is as valid as with it, and
means the same.
"""

MeaningT = TypeVar("MeaningT")


class HeadCache(Generic[MeaningT]):
    """Meanings of heads that came at least twice.

    Attributes:
        meanings: By the bytes of the head, its empty line included; to be read only.
    """

    def __init__(self) -> None:
        self.meanings: dict[bytes, MeaningT] = {}
        self._seen_once: set[int] = set()

    def get(self, head: bytes) -> MeaningT | None:
        """Return what a head means that is cached but for lines that nothing reads."""
        if len(head) > MAX_HEAD_BYTES:
            return None
        return self.meanings.get(_UNREAD_LINE.sub(b"", head))

    def put(self, request: bytes, body_bytes: int, meaning: MeaningT) -> None:
        """Note a request's head, and cache it where it was noted before.

        Args:
            request: One whole request and nothing else, as it was given to a parser that expected a new one.
            body_bytes: The body's size as the head declares it. Behind the head of a chunked body there is more.
            meaning: What the head means.
        """
        head_bytes = request.find(ENDING) + len(ENDING)
        if head_bytes + body_bytes != len(request) or head_bytes > MAX_HEAD_BYTES:
            return
        head = _UNREAD_LINE.sub(b"", request[:head_bytes])
        noted = hash(head)
        if noted in self._seen_once:
            self._seen_once.discard(noted)
            if len(self.meanings) >= MAX_HEADS:
                self.meanings.clear()
            self.meanings[head] = meaning
        else:
            if len(self._seen_once) >= MAX_HEADS:
                self._seen_once.clear()
            self._seen_once.add(noted)
