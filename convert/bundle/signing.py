"""Sign published versions: manifest.sig is the signature of the manifest, which has the hashes of all other files."""

from pathlib import Path

from convert.bundle.keys import SigningKey
from server.bundle.checksums import VersionKey
from server.disk import STAGING, locked, sync_folder, write_file
from server.errors import BundleError
from server.models.catalog import load_model
from server.models.repository import MANIFEST_FILE, SIGNED_FILE, list_versions


def sign_newest(models_dir: Path, key: SigningKey) -> dict[VersionKey, bool]:
    """Sign the newest version of every model.

    Returns:
        For each version, True if it was signed now, False if this key had signed it before.

    Raises:
        BundleError: If there is no version, or one has another key's signature.
        RefusedError: If the server would not serve one of them.
    """
    newest = [VersionKey(name, numbers[0]) for name, numbers in list_versions(models_dir).items()]
    if not newest:
        raise BundleError(f"nothing to sign in {models_dir}: expected <name>/<version>/ folders there")
    return {version: sign_version(models_dir, version, key) for version in newest}


def sign_version(models_dir: Path, version: VersionKey, key: SigningKey) -> bool:
    """Sign a version that the server would serve; the signature appears whole or not at all.

    Returns:
        True if it was signed now, False if this key had signed it before.

    Raises:
        RefusedError: If the server would not serve it.
        BundleError: If it has another key's signature.
    """
    with locked(models_dir / version.name):
        folder = models_dir / str(version)
        load_model(folder, version.name, version.number, threads=1)
        manifest = (folder / MANIFEST_FILE).read_bytes()
        signature = folder / SIGNED_FILE
        if signature.exists():
            if key.trusted.have_signed(manifest, signature.read_bytes()):
                return False
            raise BundleError(f"{signature} is not by this key: one signature is not put in place of another")
        staged = folder / STAGING
        staged.unlink(missing_ok=True)
        write_file(staged, key.sign(manifest))
        staged.rename(signature)
        sync_folder(folder)
    return True
