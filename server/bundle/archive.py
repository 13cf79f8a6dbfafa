"""Names and sizes <-> the blocks of a tar file, in one form only: any other bytes are refused.

A header has room for much that a bundle has no use for: links, owners, extensions, other spellings of a number. So
what is read must be, bit by bit, what would be written for the same name and size; what pads a block must be zeros,
and behind the end must be nothing. The format is POSIX's ustar, which every tar reads.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from server.errors import BundleError

CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512
END = bytes(2 * _BLOCK_BYTES)
"""Two empty blocks."""


@attrs.frozen
class Member:
    """One file of the archive.

    Attributes:
        name: Its path.
        size_bytes: Its length.
    """

    name: str
    size_bytes: int

    def to_header(self) -> bytes:
        """Gives its header's one form.

        Raises:
            ValueError: If the format has no room for the name, or for a file of 8 GiB.
        """
        info = tarfile.TarInfo(self.name)
        info.size = self.size_bytes
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")

    @property
    def padding(self) -> bytes:
        """What fills its last block."""
        return bytes(-self.size_bytes % _BLOCK_BYTES)


def read_member(file: BinaryIO) -> Member | None:
    """Reads the next header.

    Returns:
        The member whose content follows; None at the end of the archive.

    Raises:
        BundleError: If there is anything but a whole header in its one form, or anything behind the end.
    """
    block = _read(file, _BLOCK_BYTES)
    if not any(block):
        if block + file.read(_BLOCK_BYTES + 1) != END:
            raise BundleError("expected two empty blocks at the end and nothing behind them")
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        member = Member(info.name, info.size)
        sound = member.to_header() == block
    except (tarfile.HeaderError, ValueError) as error:
        raise BundleError(f"expected the header of a file, got other bytes: {error}") from error
    if not sound:
        raise BundleError(f"expected the header of a plain file, got another for {info.name!r}")
    return member


def read_content(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Reads the content of the member whose header was read last.

    Raises:
        BundleError: If it is cut off, or padded with anything but zeros.
    """
    left_bytes = member.size_bytes
    while left_bytes:
        chunk = _read(file, min(left_bytes, CHUNK_BYTES))
        left_bytes -= len(chunk)
        yield chunk
    if _read(file, len(member.padding)) != member.padding:
        raise BundleError(f"expected nothing but zeros behind {member.name}")


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise BundleError(f"it is cut off: expected {size_bytes} more bytes, got {len(content)}")
    return content
