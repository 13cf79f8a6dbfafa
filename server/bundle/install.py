"""Publish the versions of a verified bundle in the model repository: all of them, or none.

Versions are staged, loaded as the server would load them, and then renamed one by one. On an error before the last
rename all is undone. What a killed process staged is removed by the next.
"""

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from server.bundle.checksums import SBOM_FILE, VersionKey, split_name
from server.bundle.opening import Bundle, read_to_end
from server.disk import STAGING, locked, sync_folder, write_chunks
from server.errors import BundleError
from server.models.catalog import load_model


def install_versions(bundle: Bundle, models_dir: Path) -> list[VersionKey]:
    """Publish the versions of a bundle that are not in the repository yet; none is ever overwritten.

    Returns:
        The versions that were published now; the others were there already, equal in every byte.

    Raises:
        BundleError: If one of them is there with another content, or the bundle was changed since it was verified.
        RefusedError: If the server would not serve one of them.
        OSError: If the disk is full, or fails otherwise.
    """
    versions = bundle.checksums.versions
    missing = [version for version, digests in versions.items() if not _is_there(models_dir, version, digests)]
    with ExitStack() as undo:
        _make_folder(models_dir, undo)
        with locked(models_dir):
            staging = models_dir / STAGING
            shutil.rmtree(staging, ignore_errors=True)
            try:
                _stage(bundle, missing, staging)
                _publish(staging, models_dir, missing, undo)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        undo.pop_all()
    return missing


def _is_there(models_dir: Path, version: VersionKey, digests: Mapping[str, str]) -> bool:
    folder = models_dir / str(version)
    if not folder.exists():
        return False
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    if differing := sorted(file for file in {*found, *digests} if found.get(file) != digests.get(file)):
        raise BundleError(f"there is another {version} already, and it is not overwritten: {', '.join(differing)}")
    return True


def _stage(bundle: Bundle, missing: list[VersionKey], staging: Path) -> None:
    for name, content in bundle.members():
        version, file = split_name(name) if name != SBOM_FILE else (None, "")
        if version in missing:
            (staging / str(version)).mkdir(parents=True, exist_ok=True)
            write_chunks(staging / str(version) / file, content)
        else:
            read_to_end(content)
    for version in missing:
        sync_folder(staging / str(version))
        load_model(staging / str(version), version.name, version.number, threads=1, trusted=bundle.trusted)


def _publish(staging: Path, models_dir: Path, missing: list[VersionKey], undo: ExitStack) -> None:
    for version in missing:
        folder = models_dir / version.name
        _make_folder(folder, undo)
        staged, published = staging / str(version), models_dir / str(version)
        with locked(folder):
            # This fails if anything is there, such as a version published meanwhile.
            staged.rename(published)
            undo.callback(shutil.rmtree, published)
            sync_folder(folder)
    sync_folder(models_dir)


def _make_folder(folder: Path, undo: ExitStack) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        undo.callback(folder.rmdir)
