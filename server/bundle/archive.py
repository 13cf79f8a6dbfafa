"""Canonical tar: one byte representation for each name and size; any other bytes are refused.

A tar header can hold much that a bundle has no use for: links, owners, extensions, other spellings of a number. So each
header must equal, bit by bit, the one that would be written for its name and size. Padding must be zeros, and nothing
may follow the end. The format is POSIX's ustar, which every tar reads.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from server.errors import BundleError

CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512
END = bytes(2 * _BLOCK_BYTES)
"""The end of an archive: two empty blocks."""


@attrs.frozen
class Member:
    """One file of the archive.

    Attributes:
        name: Its path in the archive.
        size_bytes: Its length.
    """

    name: str
    size_bytes: int

    def to_header(self) -> bytes:
        """Return the one valid header.

        Raises:
            ValueError: If the name is too long for the format, or the file has 8 GiB or more.
        """
        info = tarfile.TarInfo(self.name)
        info.size = self.size_bytes
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")

    @property
    def padding(self) -> bytes:
        """The zeros that fill its last block."""
        return bytes(-self.size_bytes % _BLOCK_BYTES)


def read_member(file: BinaryIO) -> Member | None:
    """Read the next header.

    Returns:
        The member whose content follows; None at the end of the archive.

    Raises:
        BundleError: If the next block is no valid header, or anything follows the end of the archive.
    """
    block = _read(file, _BLOCK_BYTES)
    if not any(block):
        if block + file.read(_BLOCK_BYTES + 1) != END:
            raise BundleError("expected two empty blocks at the end and nothing behind them")
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        member = Member(info.name, info.size)
        is_canonical = member.to_header() == block
    except (tarfile.HeaderError, ValueError) as error:
        raise BundleError(f"expected the header of a file, got other bytes: {error}") from error
    if not is_canonical:
        raise BundleError(f"expected the header of a plain file, got another for {info.name!r}")
    return member


def read_content(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Read the content of the member whose header was read last, in chunks.

    Raises:
        BundleError: If it is truncated, or padded with anything but zeros.
    """
    remaining_bytes = member.size_bytes
    while remaining_bytes:
        chunk = _read(file, min(remaining_bytes, CHUNK_BYTES))
        remaining_bytes -= len(chunk)
        yield chunk
    if _read(file, len(member.padding)) != member.padding:
        raise BundleError(f"expected nothing but zeros behind {member.name}")


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise BundleError(f"it is truncated: expected {size_bytes} more bytes, got {len(content)}")
    return content
