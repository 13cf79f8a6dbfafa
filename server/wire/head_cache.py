"""Bytes of a request's head -> what the parser made of them the last time: a client sends the same again and again.

What a head means depends on its bytes alone, where the parser is at the beginning of a request. So a head that was
parsed once, byte for byte the same, need not be parsed again. It knows nothing of sockets, and nothing of what it
keeps.
"""

from typing import Generic, TypeVar

ENDING = b"\r\n\r\n"
MAX_HEADS = 1024
"""How many heads are kept; beyond them all are forgotten, which costs each client one parsing."""
MAX_HEAD_BYTES = 1024
"""The longest head that is kept: so all of them take no more than a mebibyte or two."""

MeaningT = TypeVar("MeaningT")


class Heads(Generic[MeaningT]):
    """The heads that have been parsed, and what they mean.

    Attributes:
        meanings: By the bytes of the head, its empty line among them; to be read only.
    """

    def __init__(self) -> None:
        self.meanings: dict[bytes, MeaningT] = {}

    def learn(self, request: bytes, body_bytes: int, meaning: MeaningT) -> None:
        """Keeps the head of a request, unless it is not surely the head alone.

        Args:
            request: One whole request and nothing else, as it was given to a parser that expected a new one.
            body_bytes: The body's size, as the head declares it; what follows a chunked one is no whole request here.
            meaning: What the head means.
        """
        head_bytes = request.find(ENDING) + len(ENDING)
        if head_bytes + body_bytes != len(request) or head_bytes > MAX_HEAD_BYTES:
            return
        if len(self.meanings) >= MAX_HEADS:
            self.meanings.clear()
        self.meanings[request[:head_bytes]] = meaning
