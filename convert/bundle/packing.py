"""Write a bundle: checksums, their signature and the files in one tar file, whole or not at all."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from convert.bundle.keys import SigningKey
from server.bundle.archive import CHUNK_BYTES, END, Member
from server.bundle.checksums import CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE, Checksums
from server.disk import sync_folder
from server.errors import BundleError


def write_bundle(path: Path, files: Mapping[str, Path], key: SigningKey) -> None:
    """Write a bundle whose bytes depend on the files and the key alone; an older one is replaced.

    Args:
        path: The bundle's path.
        files: The file of each member, by the member's name, in the bundle's order.
        key: The key that signs it.

    Raises:
        BundleError: If the files are not those of a bundle, or change meanwhile.
    """
    members = [_describe(name, file) for name, file in files.items()]
    checksums = Checksums({name: _hash(file) for name, file in files.items()})
    staged = path.with_name(f".{path.name}.part")
    try:
        with staged.open("wb") as archive:
            _write_all(archive, checksums, key, zip(members, files.values(), strict=True))
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


def _write_all(archive: BinaryIO, checksums: Checksums, key: SigningKey, files: Iterable[tuple[Member, Path]]) -> None:
    content = checksums.to_bytes()
    for name, small in ((CHECKSUMS_FILE, content), (CHECKSUMS_SIGNATURE_FILE, key.sign(content))):
        member = Member(name, len(small))
        archive.write(member.to_header() + small + member.padding)
    for member, file in files:
        _write_file(archive, member, file, checksums.digests[member.name])
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
