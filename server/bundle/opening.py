"""A bundle's file -> Bundle: verified to the last bit, with nothing written; what is then read is verified again.

The same open file is read both times, but it could be changed in between by whoever may write to it: so whoever takes
its members must leave them staged until each has come to its end without an error.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from server.bundle.archive import Member, read_content, read_member
from server.bundle.checksums import SUMS_FILE, SUMS_SIGNED_FILE, Sums
from server.errors import BundleError
from server.models.trust import SIGNED_BYTES, TrustedKeys

MAX_SUMS_BYTES = 1 << 20
"""So much is read before a signature says that it may be: some 8,000 files."""


@attrs.frozen(eq=False)
class Bundle:
    """A bundle whose every bit was verified once.

    Attributes:
        sums: What is in it.
        file: Its open file.
        trusted: Whose signature it bears.
    """

    sums: Sums
    file: BinaryIO
    trusted: TrustedKeys

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Reads it again: gives each member's name and its content in chunks, each to be read to its end.

        Raises:
            BundleError: If the file is not what it was. A content raises it behind its last chunk.
        """
        self.file.seek(0)
        if _read_sums(self.file, self.trusted) != self.sums:
            raise BundleError("it was changed while it was read")
        yield from _read_members(self.file, self.sums)


@contextmanager
def open_bundle(path: Path, trusted: TrustedKeys) -> Iterator[Bundle]:
    """Opens a bundle and verifies all of it.

    Raises:
        BundleError: If it is not, in each of its bits, what one of the keys has signed.
    """
    with path.open("rb") as file:
        sums = _read_sums(file, trusted)
        for _name, content in _read_members(file, sums):
            for _chunk in content:
                pass
        yield Bundle(sums, file, trusted)


def _read_sums(file: BinaryIO, trusted: TrustedKeys) -> Sums:
    content = _read_small(file, SUMS_FILE, MAX_SUMS_BYTES)
    if not trusted.have_signed(content, _read_small(file, SUMS_SIGNED_FILE, SIGNED_BYTES)):
        raise BundleError(f"{SUMS_SIGNED_FILE} is not the signature of {SUMS_FILE} by one of {trusted}")
    return Sums.from_bytes(content)


def _read_small(file: BinaryIO, name: str, max_bytes: int) -> bytes:
    member = _read_expected(file, name)
    if member.size_bytes > max_bytes:
        raise BundleError(f"expected a {name} of at most {max_bytes} bytes, got {member.size_bytes}")
    return b"".join(read_content(file, member))


def _read_members(file: BinaryIO, sums: Sums) -> Iterator[tuple[str, Iterator[bytes]]]:
    for name, digest in sums.digests.items():
        yield name, _read_hashed(file, _read_expected(file, name), digest)
    if member := read_member(file):
        raise BundleError(f"expected no more members than {SUMS_FILE} has, got {member.name!r}")


def _read_expected(file: BinaryIO, name: str) -> Member:
    member = read_member(file)
    if member is None or member.name != name:
        raise BundleError(f"expected the member {name}, got {repr(member.name) if member else 'the end'}")
    return member


def _read_hashed(file: BinaryIO, member: Member, digest: str) -> Iterator[bytes]:
    hashed = hashlib.sha256()
    for chunk in read_content(file, member):
        hashed.update(chunk)
        yield chunk
    if hashed.hexdigest() != digest:
        raise BundleError(f"{member.name} is not what was signed: expected SHA-256 {digest}, got {hashed.hexdigest()}")
