"""Open a bundle: verify every bit of it before anything is written, and verify again what is read afterwards.

The same open file is read both times, but whoever may write to it could change it in between. So callers must keep the
members staged until each of them was read to its end without an error.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from server.bundle.archive import Member, read_content, read_member
from server.bundle.checksums import CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE, Checksums
from server.errors import BundleError
from server.models.trust import SIGNED_BYTES, TrustedKeys

MAX_CHECKSUMS_BYTES = 1 << 20
"""The most that is read before the signature is verified: the checksums of some 8,000 files."""


@attrs.frozen(eq=False)
class Bundle:
    """A bundle, every bit of which was verified once.

    Attributes:
        checksums: Its members and their hashes.
        file: The open file.
        trusted: The keys, one of which signed it.
    """

    checksums: Checksums
    file: BinaryIO
    trusted: TrustedKeys

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Read the bundle again: yield each member's name and its content in chunks, to be read to its end.

        Raises:
            BundleError: If the file was changed. A content raises it after its last chunk.
        """
        self.file.seek(0)
        if _read_checksums(self.file, self.trusted) != self.checksums:
            raise BundleError("it was changed while it was read")
        yield from _read_members(self.file, self.checksums)


@contextmanager
def open_bundle(path: Path, trusted: TrustedKeys) -> Iterator[Bundle]:
    """Open a bundle and verify all of it.

    Raises:
        BundleError: If it is not, bit by bit, what one of the keys has signed.
    """
    with path.open("rb") as file:
        checksums = _read_checksums(file, trusted)
        for _name, content in _read_members(file, checksums):
            read_to_end(content)
        yield Bundle(checksums, file, trusted)


def read_to_end(content: Iterator[bytes]) -> None:
    """Read a member to its end, which verifies it, and keep nothing of it."""
    for _chunk in content:
        pass


def _read_checksums(file: BinaryIO, trusted: TrustedKeys) -> Checksums:
    content = _read_small(file, CHECKSUMS_FILE, MAX_CHECKSUMS_BYTES)
    if not trusted.have_signed(content, _read_small(file, CHECKSUMS_SIGNATURE_FILE, SIGNED_BYTES)):
        raise BundleError(f"{CHECKSUMS_SIGNATURE_FILE} is not the signature of {CHECKSUMS_FILE} by one of {trusted}")
    return Checksums.from_bytes(content)


def _read_small(file: BinaryIO, name: str, max_bytes: int) -> bytes:
    member = _read_expected(file, name)
    if member.size_bytes > max_bytes:
        raise BundleError(f"expected a {name} of at most {max_bytes} bytes, got {member.size_bytes}")
    return b"".join(read_content(file, member))


def _read_members(file: BinaryIO, checksums: Checksums) -> Iterator[tuple[str, Iterator[bytes]]]:
    for name, digest in checksums.digests.items():
        yield name, _read_hashed(file, _read_expected(file, name), digest)
    if member := read_member(file):
        raise BundleError(f"expected no more members than {CHECKSUMS_FILE} has, got {member.name!r}")


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
