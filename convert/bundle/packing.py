"""Files and a signing key -> a bundle: sums, their signature, the files, in one tar file; whole or not at all."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from convert.bundle.keys import SigningKey
from server.bundle.archive import CHUNK_BYTES, END, Member
from server.bundle.checksums import SUMS_FILE, SUMS_SIGNED_FILE, Sums
from server.disk import sync_folder
from server.errors import BundleError


def write_bundle(path: Path, files: Mapping[str, Path], key: SigningKey) -> None:
    """Writes a bundle, whose bytes depend on the files and the key alone; one of this path is replaced.

    Args:
        path: Where.
        files: The file of each member, by the member's name, in their order.
        key: Who signs it.

    Raises:
        BundleError: If the files are not those of a bundle, or are changed meanwhile.
    """
    members = [_describe(name, file) for name, file in files.items()]
    sums = Sums({name: _hash(file) for name, file in files.items()})
    staged = path.with_name(f".{path.name}.part")
    try:
        with staged.open("wb") as archive:
            _write_all(archive, sums, key, zip(members, files.values(), strict=True))
            archive.flush()
            os.fsync(archive.fileno())
        staged.rename(path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def _describe(name: str, file: Path) -> Member:
    member = Member(name, file.stat().st_size)
    try:
        member.to_header()
    except ValueError as error:
        raise BundleError(f"expected a file of less than 8 GiB, got {member}: {error}") from error
    return member


def _write_all(archive: BinaryIO, sums: Sums, key: SigningKey, files: Iterable[tuple[Member, Path]]) -> None:
    content = sums.to_bytes()
    for name, small in ((SUMS_FILE, content), (SUMS_SIGNED_FILE, key.sign(content))):
        member = Member(name, len(small))
        archive.write(member.to_header() + small + member.padding)
    for member, file in files:
        _write_file(archive, member, file, sums.digests[member.name])
    archive.write(END)


def _write_file(archive: BinaryIO, member: Member, file: Path, digest: str) -> None:
    hashed = hashlib.sha256()
    archive.write(member.to_header())
    with file.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            hashed.update(chunk)
            archive.write(chunk)
    if hashed.hexdigest() != digest:
        raise BundleError(f"{file} was changed while it was packed")
    archive.write(member.padding)


def _hash(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
