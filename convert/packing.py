"""Files and a signing key -> a bundle: sums, their signature, the files, in one tar file; whole or not at all."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from convert.archive import CHUNK_BYTES, END, Member
from convert.errors import BundleError
from convert.keys import SigningKey
from convert.sbom import describe_versions
from convert.signing import sign_newest
from convert.sums import SBOM_FILE, SUMS_FILE, SUMS_SIGNED_FILE, Sums, VersionKey, member_name
from server.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, SIGNED_FILE, read_package
from training.durable import sync_folder


def pack_versions(path: Path, models_dir: Path, key: SigningKey) -> list[VersionKey]:
    """Signs the newest version of every model, and packs them with their bill of materials.

    Returns:
        What is in the bundle.

    Raises:
        BundleError: If there is nothing to pack, or what is there has another signature.
        RefusedError: If the server would not serve one of them.
    """
    versions = sorted(sign_newest(models_dir, key))
    manifests = {
        version: read_package(models_dir / str(version), version.name, version.number, key.trusted).manifest
        for version in versions
    }
    files = {
        member_name(version, file): models_dir / str(version) / file
        for version, manifest in manifests.items()
        for file in (MANIFEST_FILE, MANIFEST_SUM_FILE, SIGNED_FILE, *sorted(manifest.files))
    }
    with TemporaryDirectory() as folder:
        sbom = Path(folder) / SBOM_FILE
        sbom.write_bytes(describe_versions(manifests.values()))
        write_bundle(path, {SBOM_FILE: sbom, **files}, key)
    return versions


def write_bundle(path: Path, files: Mapping[str, Path], key: SigningKey) -> None:
    """Writes a bundle, whose bytes depend on the files and the key alone; one of this path is replaced.

    Args:
        path: Where.
        files: The file of each member, by the member's name, in their order.
        key: Who signs it.

    Raises:
        BundleError: If the files are not those of a bundle, or are changed meanwhile.
    """
    sums = Sums({name: _hash(file) for name, file in files.items()})
    staged = path.with_name(f".{path.name}.part")
    try:
        with staged.open("wb") as archive:
            _write_all(archive, sums, files, key)
            archive.flush()
            os.fsync(archive.fileno())
        staged.rename(path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def _write_all(archive: BinaryIO, sums: Sums, files: Mapping[str, Path], key: SigningKey) -> None:
    content = sums.to_bytes()
    for name, small in ((SUMS_FILE, content), (SUMS_SIGNED_FILE, key.sign(content))):
        member = Member(name, len(small))
        archive.write(member.to_header() + small + member.padding)
    for name, file in files.items():
        _write_file(archive, name, file, sums.digests[name])
    archive.write(END)


def _write_file(archive: BinaryIO, name: str, file: Path, digest: str) -> None:
    hashed = hashlib.sha256()
    with file.open("rb") as source:
        member = Member(name, os.fstat(source.fileno()).st_size)
        archive.write(_header(member))
        while chunk := source.read(CHUNK_BYTES):
            hashed.update(chunk)
            archive.write(chunk)
    if hashed.hexdigest() != digest:
        raise BundleError(f"{file} was changed while it was packed")
    archive.write(member.padding)


def _header(member: Member) -> bytes:
    try:
        return member.to_header()
    except ValueError as error:
        raise BundleError(f"expected a file of less than 8 GiB, got {member}: {error}") from error


def _hash(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
