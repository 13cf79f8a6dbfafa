"""Pack an image or models, with their bill of materials, into a bundle."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from convert.bundle import inside
from convert.bundle.keys import SigningKey
from convert.bundle.packing import write_bundle
from convert.bundle.podman import run_in_image, save_image
from convert.bundle.sbom import describe_image, describe_versions
from convert.bundle.signing import sign_newest
from server.bundle.checksums import IMAGE_FILE, SBOM_FILE, VersionKey, member_name
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, SIGNED_FILE, read_package

LOCK = Path(__file__).parents[2] / "server" / "requirements.lock"
"""The lock file from which the Containerfile installs."""


def ship_image(path: Path, image: str, key: SigningKey) -> None:
    """Pack an image.

    Raises:
        BundleError: If podman cannot save it, or run it to list its content.
    """
    # The staging folder is beside the bundle, where there must be room for it anyway.
    with TemporaryDirectory(prefix=".bundle-", dir=path.parent) as folder:
        sbom, archive = Path(folder) / SBOM_FILE, Path(folder) / IMAGE_FILE
        sbom.write_bytes(list_materials(image))
        save_image(image, archive)
        write_bundle(path, {SBOM_FILE: sbom, IMAGE_FILE: archive}, key)


def ship_models(path: Path, models_dir: Path, key: SigningKey) -> list[VersionKey]:
    """Sign the newest version of every model, and pack them.

    Returns:
        The versions in the bundle.

    Raises:
        BundleError: If there is nothing to pack, or a version has another key's signature.
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


def list_materials(image: str) -> bytes:
    """Return an image's bill of materials.

    Raises:
        BundleError: If podman cannot run the image.
    """
    installed = json.loads(run_in_image(image, Path(inside.__file__)))
    return describe_image(image, installed, LOCK.read_text())
